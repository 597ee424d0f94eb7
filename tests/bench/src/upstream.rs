//! Devices that come when they like, at a share of what was the most, to a verifier that must ask a
//! service first: what the waiting for it costs beside itself.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use countersign_scep::LegacyAlgorithms;
use countersign_stubs::{Identity, Receiver, WebhookReceiver};
use countersign_tests::{Installation, PROFILE, Plugin, Profile, component};

use crate::arguments::Algorithm;
use crate::fleet::{self, Fleet, Prepared};
use crate::load;
use crate::peer::Peer;
use crate::run::Side;
use crate::system::{FUSE, challenges};

/// Arrivals a second, of the most that were answered.
const SHARE: f64 = 0.4;

/// What the service takes for an answer.
pub(crate) const LATENCY: Duration = Duration::from_millis(50);

/// How long devices come.
const SECONDS: f64 = 5.0;

const HOOKED: &str = "hooked";
const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// What was found.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Arrivals a second.
    pub(crate) arriving: f64,
    /// With `one-time-password`, which asks nobody.
    pub(crate) without: Side,
    /// With `webhook`, which asks.
    pub(crate) with: Side,
    /// What the service was asked, and on how many connections.
    pub(crate) asked: (usize, usize),
}

/// Measures both, one after the other, on one installation.
pub(crate) async fn measure(algorithm: Algorithm, fleet: &mut Fleet, most: f64) -> Upstream {
    let arriving = (most * SHARE).max(1.0);
    let count = (arriving * SECONDS).ceil() as usize;
    let identity = Identity::new(&["DNS:localhost"]);
    let identities = fleet.identities(2 * count);
    let (asking, known) = identities.split_at(count);
    let mut receiver = Receiver::new("bench", KEY).answering_after(LATENCY);
    for device in known {
        let names = device.names.each_ref().map(String::as_str);
        receiver = receiver.allow(&open(&device.common_name), &device.common_name, &names);
    }
    let receiver = on_a_thread_of_its_own(receiver, identity.clone());
    let mut installation = installation(algorithm, &receiver, &identity).await;

    let meet = async |profile: &str| {
        let path = format!("/scep/{profile}");
        Peer::meet(installation.address(), &path, LegacyAlgorithms::default()).await
    };
    let (plain, hooked) = (meet(PROFILE).await, meet(HOOKED).await);
    let devices = challenges(&installation, asking.to_vec()).await;
    let without = side(&plain, fleet::prepare(devices, &plain), arriving).await;
    let devices = known.iter().map(|device| (device.clone(), open(&device.common_name))).collect();
    let with = side(&hooked, fleet::prepare(devices, &hooked), arriving).await;
    installation.stop_all().await;
    let server = receiver.server();
    Upstream { arriving, without, with, asked: (server.received().len(), server.connections()) }
}

/// The challenge of a device that the service knows.
fn open(device: &str) -> String {
    format!("OPEN-{device}")
}

async fn side(peer: &Peer, requests: Vec<Prepared>, arriving: f64) -> Side {
    let interval = Duration::from_secs_f64(1.0 / arriving);
    let mut side = Side::default();
    side.add(load::arrive(peer, requests, interval).await, peer);
    side.took.sort();
    side
}

/// The service has nothing to do with the client's thread.
fn on_a_thread_of_its_own(receiver: Receiver, identity: Identity) -> WebhookReceiver {
    let (sender, started) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime of one thread");
        runtime.block_on(async {
            sender.send(receiver.start(&identity).await).expect("the bench waits for it");
            std::future::pending::<()>().await;
        });
    });
    started.recv().expect("the service starts")
}

async fn installation(
    algorithm: Algorithm,
    receiver: &WebhookReceiver,
    identity: &Identity,
) -> Installation {
    let url = format!("https://localhost:{}/scep", receiver.server().address().port());
    let sections = format!(
        "[settings]\nurl = {url:?}\nid = \"bench\"\nformat = \"countersign\"\n\
         [grants]\nlog = true\nhosts = [\"{{/url}}\"]\naddresses = [\"127.0.0.0/8\", \"::1\"]\n\
         secrets = [\"webhook-key\"]\n\
         [http]\nroots = \"keys/hook.pem\"\n\
         [secrets.webhook-key]\nvalue = \"file:secrets/webhook.key\"\nencoding = \"raw\"\n"
    );
    let mut installation = Installation::builder()
        .algorithm(algorithm.of_lab_ca())
        .sections(FUSE)
        .plugin(Plugin::new("webhook", component("webhook"), &sections))
        .profile(Profile::named(PROFILE).verifiers(&["one-time-password"]))
        .profile(Profile::named(HOOKED).verifiers(&["webhook"]))
        .prepare()
        .await;
    std::fs::write(installation.file("keys/hook.pem"), identity.certificate_pem())
        .expect("space on the disk");
    let key = installation.file("secrets/webhook.key");
    std::fs::write(&key, KEY).expect("space on the disk");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("mode 0600");
    installation.start_all().await;
    installation
}
