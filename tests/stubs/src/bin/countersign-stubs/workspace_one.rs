//! Workspace ONE UEM's REST API, for the plug-in `workspace-one`.

use std::net::SocketAddr;
use std::path::PathBuf;

use countersign_stubs::{UemConsole, UemDevice};

/// Be Workspace ONE UEM: answer about the devices given here.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  countersign-stubs workspace-one --user countersign --password-file uem.password \\\n      --tenant-code 1qaz2wsx --certificate tls.pem --private-key tls.key --device 52=F4GXK1\n\nDevices whose serial numbers begin with DENIED, BUSY, ERROR, BROKEN, HTML or SLOW are answered so."
)]
pub(crate) struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    #[command(flatten)]
    tls: crate::Tls,
    /// The account that may call.
    #[arg(long)]
    user: String,
    /// A file with its password.
    #[arg(long)]
    password_file: PathBuf,
    /// The tenant's key.
    #[arg(long)]
    tenant_code: String,
    /// An enrolled device: `NUMBER=SERIAL-NUMBER`. May be repeated.
    #[arg(long)]
    device: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments) {
    let password =
        std::fs::read_to_string(&arguments.password_file).expect("the password file is read");
    let mut console = UemConsole::new(&arguments.user, password.trim_end(), &arguments.tenant_code);
    for text in &arguments.device {
        let (number, serial) = text.split_once('=').expect("NUMBER=SERIAL-NUMBER");
        console = console.device(UemDevice::new(number.parse().expect("a number"), serial));
    }
    let listener = tokio::net::TcpListener::bind(arguments.listen).await.expect("the address");
    let server = console.listen(listener, &arguments.tls.identity());
    println!("answering at https://{}/API/mdm/devices", server.server().address());
    let asked = crate::print(|| {
        let received = server.server().received();
        received.iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    });
    let refused = crate::print(|| {
        server.refused().into_iter().map(|why| format!("REFUSED: {why}")).collect()
    });
    tokio::join!(asked, refused);
}
