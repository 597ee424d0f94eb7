//! What NDES would show: device managements read the password out of the page, so its label, the bold
//! element after it and the blanks in it are a protocol. Only one group of them tolerates a missing
//! blank after `<B>`, and all read the password up to the next white space.

use bytes::Bytes;
use countersign_config::PageEncoding;
use http::StatusCode;

use super::reply::{Reply, reply};

/// Bytes that mean nothing in HTML.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~+/=".contains(&byte)
}

/// The page with a password; `None` if the password has characters that no reader would find again.
pub(super) fn password(
    encoding: PageEncoding,
    thumbprint: &str,
    text: &str,
    minutes: u64,
) -> Option<Reply> {
    if text.is_empty() || !text.bytes().all(is_plain) {
        return None;
    }
    let content = format!(
        "<P>To complete certificate enrollment for your network device you will need the following \
         information:</P>\r\n\
         <P>The thumbprint (hash value) for the CA certificate is: <B> {thumbprint} </B></P>\r\n\
         <P>The enrollment challenge password is: <B> {text} </B></P>\r\n\
         <P>This password can be used only once and will expire within {minutes} minutes.</P>\r\n\
         <P>Each enrollment requires a new challenge password. You can refresh this web page to \
         obtain a new challenge password.</P>\r\n"
    );
    Some(page(StatusCode::OK, encoding, &content))
}

/// No more passwords now. NDES says so with status 200, and its readers look for the words.
pub(super) fn cache_full(encoding: PageEncoding) -> Reply {
    let content = "<P>The password cache is full.</P>\r\n\
                   <P>You may not fetch more passwords at the moment. Try again later.</P>\r\n";
    page(StatusCode::OK, encoding, content)
}

/// Not for this caller. The words are NDES's; the status is 403, which NDES does not send.
pub(super) fn no_permission(encoding: PageEncoding) -> Reply {
    let content = "<P>You do not have sufficient permission to enroll with SCEP. Please contact your \
                   system administrator.</P>\r\n";
    page(StatusCode::FORBIDDEN, encoding, content)
}

/// Anything else: a sentence of our own, which holds nothing from outside.
pub(super) fn failure(status: StatusCode, encoding: PageEncoding, sentence: &str) -> Reply {
    page(status, encoding, &format!("<P>{}</P>\r\n", escaped(sentence)))
}

fn page(status: StatusCode, encoding: PageEncoding, content: &str) -> Reply {
    let html = format!(
        "<HTML><HEAD><TITLE>Network Device Enrollment Service</TITLE></HEAD>\r\n<BODY>\r\n\
         <P>Network Device Enrollment Service allows you to obtain certificates for routers or other \
         network devices using the Simple Certificate Enrollment Protocol (SCEP).</P>\r\n\
         {content}</BODY></HTML>\r\n"
    );
    match encoding {
        PageEncoding::Utf8 => reply(status, "text/html; charset=utf-8", html),
        // Neither a mark nor a charset: so NDES does, and so its readers expect it.
        PageEncoding::Utf16le => {
            let octets: Vec<u8> = html.encode_utf16().flat_map(u16::to_le_bytes).collect();
            reply(status, "text/html", Bytes::from(octets))
        }
    }
}

fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| match c {
            '&' => "&amp;".chars().collect::<Vec<_>>(),
            '<' => "&lt;".chars().collect(),
            '>' => "&gt;".chars().collect(),
            '"' => "&quot;".chars().collect(),
            c => vec![c],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn octets(reply: Reply) -> Vec<u8> {
        reply.into_body().collect().await.unwrap().to_bytes().to_vec()
    }

    fn utf16(octets: &[u8]) -> String {
        let units = octets.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        char::decode_utf16(units).map(Result::unwrap).collect()
    }

    /// As the readers do: the label without regard to case, then a bold element whose content runs
    /// to white space, with the blank after `<B>` required.
    fn read_password(page: &str) -> Option<String> {
        let label = "the enrollment challenge password is: <b> ";
        let start = page.to_ascii_lowercase().find(label)? + label.len();
        page[start..].split_whitespace().next().map(str::to_owned)
    }

    #[tokio::test]
    async fn readers_of_ndes_find_the_password_in_either_encoding() {
        let text = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let made = |encoding| password(encoding, "0A1B2C3D 4E5F6071", text, 60).unwrap();
        let reply = made(PageEncoding::Utf16le);
        assert_eq!(reply.headers()["content-type"], "text/html");
        assert_eq!(reply.headers()["cache-control"], "no-store");
        let page = octets(reply).await;
        assert_eq!(&page[..12], b"<\0H\0T\0M\0L\0>\0", "no byte order mark");
        let page = utf16(&page);
        assert_eq!(read_password(&page).as_deref(), Some(text));
        assert!(page.contains("CA certificate is: <B> 0A1B2C3D 4E5F6071 </B>"));
        assert!(page.contains("expire within 60 minutes"));
        let page = String::from_utf8(octets(made(PageEncoding::Utf8)).await).unwrap();
        assert_eq!(read_password(&page).as_deref(), Some(text));
    }

    #[tokio::test]
    async fn errors_are_pages_with_the_words_of_ndes() {
        let full = cache_full(PageEncoding::Utf16le);
        assert_eq!(full.status(), 200);
        assert!(utf16(&octets(full).await).contains("The password cache is full."));
        let refused = no_permission(PageEncoding::Utf8);
        assert_eq!(refused.status(), 403);
        let refused = String::from_utf8(octets(refused).await).unwrap();
        assert!(refused.contains("You do not have sufficient permission to enroll with SCEP."));
        assert_eq!(read_password(&refused), None);
    }

    #[test]
    fn a_password_that_html_would_garble_is_no_page() {
        for text in ["", "a b", "a<b", "a&amp;b", "a\"b"] {
            assert!(password(PageEncoding::Utf8, "00", text, 60).is_none(), "{text}");
        }
    }

    #[tokio::test]
    async fn what_came_from_outside_is_text_in_a_page() {
        let page = failure(StatusCode::BAD_REQUEST, PageEncoding::Utf8, "<script>&\"");
        let page = String::from_utf8(octets(page).await).unwrap();
        assert!(page.contains("&lt;script&gt;&amp;&quot;"));
    }
}
