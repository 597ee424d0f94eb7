//! Jamf Pro, for the plug-in `jamf-pro`: its inventory, and its webhook for a challenge.

use std::net::SocketAddr;
use std::path::PathBuf;

use countersign_stubs::{Client, Form, JamfDevice, JamfPro};

/// Be Jamf Pro: answer about the devices given here, and ask for a challenge for one of them.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  countersign-stubs jamf-pro --secret-file jamf.secret \\\n      --certificate tls.pem --private-key tls.key \\\n      --computer 52=C02XK1 --mobile 17=F4GXK1 \\\n      --ask 192.0.2.7:8443/challenge/macs --user jamf --password-file jamf.password \\\n      --roots ca.pem --for C02XK1\n\nDevices whose serial numbers begin with ERROR, BUSY, BROKEN or TWICE are answered so."
)]
pub(crate) struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    #[command(flatten)]
    tls: crate::Tls,
    /// The API client's id.
    #[arg(long, default_value = "55ed202f-371c-41aa-9dc5-c63d6a1f6b3c")]
    client_id: String,
    /// A file with its secret.
    #[arg(long)]
    secret_file: PathBuf,
    /// A managed computer: `ID=SERIAL-NUMBER`. May be repeated.
    #[arg(long)]
    computer: Vec<String>,
    /// A managed mobile device: `ID=SERIAL-NUMBER`. May be repeated.
    #[arg(long)]
    mobile: Vec<String>,
    /// Where a challenge is asked for: `HOST:PORT/challenge/PROFILE`.
    #[arg(long, requires_all = ["user", "password_file", "roots"])]
    ask: Option<String>,
    /// The user that asks.
    #[arg(long)]
    user: Option<String>,
    /// A file with its password.
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// What the listener's certificate must be below, PEM.
    #[arg(long)]
    roots: Option<PathBuf>,
    /// The target device, by its serial number; none if left out.
    #[arg(long = "for")]
    target: Option<String>,
    /// Send the webhook as XML.
    #[arg(long)]
    xml: bool,
}

pub(crate) async fn run(arguments: Arguments) {
    let secret = std::fs::read_to_string(&arguments.secret_file).expect("the secret file is read");
    let mut jamf = JamfPro::new(&arguments.client_id, secret.trim_end());
    for (given, device) in [
        (&arguments.computer, JamfDevice::computer as fn(u32, &str) -> JamfDevice),
        (&arguments.mobile, JamfDevice::mobile),
    ] {
        for text in given {
            let (id, serial) = text.split_once('=').expect("ID=SERIAL-NUMBER");
            jamf = jamf.device(device(id.parse().expect("a number"), serial));
        }
    }
    let listener = tokio::net::TcpListener::bind(arguments.listen).await.expect("the address");
    let server = jamf.listen(listener, &arguments.tls.identity());
    println!("answering at https://{}/api/", server.server().address());
    if let (Some(ask), Some(user), Some(password), Some(roots)) =
        (&arguments.ask, &arguments.user, &arguments.password_file, &arguments.roots)
    {
        let (authority, path) = ask.split_once('/').expect("HOST:PORT/challenge/PROFILE");
        let password = std::fs::read_to_string(password).expect("the password file is read");
        let roots = std::fs::read(roots).expect("the roots are read");
        let client = Client::new(authority, &roots).basic(user, password.trim_end());
        let form = if arguments.xml { Form::Xml } else { Form::Json };
        let target = arguments.target.as_deref();
        let answer = server.scep_challenge(&client, &format!("/{path}"), form, target).await;
        println!("{} {}", answer.status, answer.text());
    }
    let asked = crate::print(|| {
        let received = server.server().received();
        received.iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    });
    let refused = crate::print(|| {
        server.refused().into_iter().map(|why| format!("REFUSED: {why}")).collect()
    });
    tokio::join!(asked, refused);
}
