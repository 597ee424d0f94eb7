//! Kandji's (Iru's) API, for the plug-in `kandji`.

use std::net::SocketAddr;
use std::path::PathBuf;

use countersign_stubs::{KandjiDevice, KandjiTenant};

/// Be Kandji: answer about the devices given here.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  countersign-stubs kandji --token-file kandji.token \\\n      --certificate tls.pem --private-key tls.key --device 52=C02XK1\n\nDevices whose serial numbers begin with DENIED, BUSY, ERROR, BROKEN, HTML, SLOW or TWICE are\nanswered so."
)]
pub(crate) struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    #[command(flatten)]
    tls: crate::Tls,
    /// A file with the API token.
    #[arg(long)]
    token_file: PathBuf,
    /// A managed Mac: `NUMBER=SERIAL-NUMBER`. May be repeated.
    #[arg(long)]
    device: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments) {
    let token = std::fs::read_to_string(&arguments.token_file).expect("the token file is read");
    let mut tenant = KandjiTenant::new(token.trim_end());
    for text in &arguments.device {
        let (number, serial) = text.split_once('=').expect("NUMBER=SERIAL-NUMBER");
        tenant = tenant.device(KandjiDevice::new(number.parse().expect("a number"), serial));
    }
    let listener = tokio::net::TcpListener::bind(arguments.listen).await.expect("the address");
    let server = tenant.listen(listener, &arguments.tls.identity());
    println!("answering at https://{}/api/v1/devices", server.server().address());
    let asked = crate::print(|| {
        let received = server.server().received();
        received.iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    });
    let refused = crate::print(|| {
        server.refused().into_iter().map(|why| format!("REFUSED: {why}")).collect()
    });
    tokio::join!(asked, refused);
}
