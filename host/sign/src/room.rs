//! Room on the disk of the database, asked before the EA key is used: a signature that cannot
//! become durable must not be made.

use std::fmt;
use std::sync::Arc;

use countersign_store::Store;

/// How much room there is, by the file system or by a test.
#[derive(Clone, Default)]
pub struct Room(Option<Arc<dyn Fn() -> u64 + Send + Sync>>);

impl Room {
    /// What the file system says.
    #[must_use]
    pub fn of_file_system() -> Self {
        Self(None)
    }

    /// What `free` says, in octets: for tests of a disk that fills.
    #[must_use]
    pub fn by(free: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(free)))
    }

    /// Why there is too little, if so.
    pub(crate) fn too_little(&self, store: &Store) -> Option<String> {
        match &self.0 {
            None => store.too_little_room(),
            Some(free) => {
                let free = free();
                (free < Store::ROOM).then(|| Store::room_text(store.path(), free))
            }
        }
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Room(by a test)" } else { "Room" })
    }
}
