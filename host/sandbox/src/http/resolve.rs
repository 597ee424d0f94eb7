//! Names to addresses, once for each connection.

use std::{fmt, io, net::IpAddr, sync::Arc};

use tokio::sync::Semaphore;

use crate::backend::Answer;

/// Look-ups at once in this process: the system's resolver blocks a thread for each, and goes on
/// when nobody waits any more.
const LOOKUPS: usize = 32;

/// Turns a host's name into addresses.
pub trait Resolve: fmt::Debug + Send + Sync + 'static {
    /// All addresses of a name. Asked once for each connection; what it says is checked, and the
    /// connection goes to what was checked.
    fn resolve<'a>(&'a self, name: &'a str) -> Answer<'a, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver.
#[derive(Debug)]
pub struct SystemResolver(Arc<Semaphore>);

impl Default for SystemResolver {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LOOKUPS)))
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> Answer<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let place = Arc::clone(&self.0).acquire_owned().await.map_err(io::Error::other)?;
            let name = name.to_owned();
            let look_up = tokio::spawn(async move {
                // Held until the look-up itself ends, also where its caller has given up.
                let _place = place;
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            });
            look_up.await.map_err(io::Error::other)?
        })
    }
}
