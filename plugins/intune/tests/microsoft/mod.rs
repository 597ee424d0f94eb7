//! Microsoft's services, as far as the mock of the host needs them. The faithful stub, over TLS, is
//! `tests/stubs/src/intune.rs`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use countersign_sdk::{HttpError, HttpRequest, HttpResponse, mock};
use serde_json::{Value, json};

type Answer = Box<dyn Fn() -> Result<HttpResponse, HttpError>>;

const SCEP: &str = "https://fef.msub01.manage.microsoft.com/StatelessScepValidation";
const PKI: &str = "https://fef.msub01.manage.microsoft.com/PkiConnector";

/// What they answer, and what they heard.
#[derive(Default)]
pub(crate) struct Microsoft {
    pub(crate) discoveries: usize,
    /// What `downloadRevocationRequests` hands out, as often as it is asked.
    pub(crate) wanted: Vec<Value>,
    heard: Vec<(String, Value)>,
    answers: BTreeMap<String, Answer>,
}

/// A host that speaks to them.
pub(crate) fn host_with(microsoft: Microsoft) -> (mock::Host, Rc<RefCell<Microsoft>>) {
    let (host, microsoft) = (mock::Host::new(), Rc::new(RefCell::new(microsoft)));
    let other_end = Rc::clone(&microsoft);
    host.answer_http(move |request| other_end.borrow_mut().asked(request));
    (host, microsoft)
}

impl Microsoft {
    /// Intune wants these revoked.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn wanting(wanted: Vec<Value>) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Answers an action otherwise.
    pub(crate) fn answer(
        &mut self,
        action: &str,
        answer: impl Fn() -> Result<HttpResponse, HttpError> + 'static,
    ) {
        self.answers.insert(action.to_owned(), Box::new(answer));
    }

    /// Answers an action as usual again.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn recover(&mut self, action: &str) {
        self.answers.remove(action);
    }

    /// The bodies of an action, in order.
    pub(crate) fn heard(&self, action: &str) -> Vec<Value> {
        let heard = self.heard.iter().filter(|(found, _)| found == action);
        heard.map(|(_, body)| body.clone()).collect()
    }

    fn asked(&mut self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        let ok = |value: Value| Ok(HttpResponse::new(200, value.to_string()));
        if request.url.starts_with("https://graph.microsoft.com/v1.0/") {
            assert_eq!((request.method.as_str(), request.auth.as_deref()), ("GET", Some("graph")));
            self.discoveries += 1;
            return ok(json!({ "value": [
                { "providerName": "ScepRequestValidationFEService", "uri": SCEP },
                { "providerName": "PkiConnectorFEService", "uri": PKI },
            ]}));
        }
        let (service, action) = [(SCEP, "2018-02-20"), (PKI, "5019-05-05")]
            .iter()
            .find_map(|(uri, version)| Some((*version, request.url.strip_prefix(uri)?)))
            .unwrap_or_else(|| panic!("nobody is at {}", request.url));
        let action = action.trim_start_matches('/');
        let version = request.headers.iter().find(|(name, _)| name == "api-version");
        assert_eq!(version.map(|(_, value)| value.as_str()), Some(service));
        assert_eq!((request.method.as_str(), request.auth.as_deref()), ("POST", Some("intune")));
        let body = serde_json::from_slice(&request.body).unwrap();
        self.heard.push((action.to_owned(), body));
        match (self.answers.get(action), action) {
            (Some(answer), _) => answer(),
            (None, "CertificateAuthorityRequests/downloadRevocationRequests") => {
                ok(json!({ "value": self.wanted }))
            }
            (None, "CertificateAuthorityRequests/uploadRevocationResults") => {
                ok(json!({ "value": true }))
            }
            (None, _) => ok(json!({ "code": "Success", "errorDescription": "" })),
        }
    }
}
