//! Real programs that tests talk to, from Debian's packages.

use std::process::Command;

use crate::command::{Failed, is_there, read, run, say};

/// A file that a package brings where programs are not looked for.
const CURL_OF_STRONGSWAN: &str = "/usr/lib/ipsec/plugins/libstrongswan-curl.so";

/// The same, for certificates of elliptic curves.
const OPENSSL_OF_STRONGSWAN: &str = "/usr/lib/ipsec/plugins/libstrongswan-openssl.so";

/// SoftHSM2 as Debian places it.
const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// A program, or the path of another file, and the package that brings it.
const NEEDED: [(&str, &str); 12] = [
    ("pki", "strongswan-pki"),
    // pki fetches over HTTP with this.
    (CURL_OF_STRONGSWAN, "libstrongswan-extra-plugins"),
    // pki reads certificates of elliptic curves with this.
    (OPENSSL_OF_STRONGSWAN, "libstrongswan-standard-plugins"),
    ("scepserver", "scep"),
    ("certmonger", "certmonger"),
    // certmonger speaks on a bus of its own.
    ("dbus-daemon", "dbus-daemon"),
    (SOFTHSM, "libsofthsm2"),
    ("softhsm2-util", "softhsm2"),
    ("openssl", "openssl"),
    // The bench runs in a network of its own.
    ("unshare", "util-linux"),
    ("ip", "iproute2"),
    ("cc", "build-essential"),
];

/// Installs what is missing, as root or through sudo.
pub(crate) fn install() -> Result<(), Failed> {
    let missing: Vec<&str> = NEEDED
        .into_iter()
        .filter(|(file, _)| !is_there(file) && !std::path::Path::new(file).is_file())
        .map(|(_, package)| package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!("apt-get install {}", missing.join(" "));
    if !is_there("apt-get") {
        return Err(Failed(format!(
            "the tests need programs of these Debian packages: {}; install them with your \
             distribution's tools",
            missing.join(", ")
        )));
    }
    say(&format!("installing Debian packages: {}", missing.join(", ")));
    let is_root = read(Command::new("id").arg("-u"))?.trim() == "0";
    if !is_root && !is_there("sudo") {
        return Err(Failed(format!("run as root: {by_hand}")));
    }
    let apt = |arguments: &[&str]| {
        let mut command = if is_root { Command::new("apt-get") } else { Command::new("sudo") };
        if !is_root {
            command.arg("apt-get");
        }
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
        run(&mut command)
    };
    apt(&["update", "-qq"])?;
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(missing);
    apt(&install)
}
