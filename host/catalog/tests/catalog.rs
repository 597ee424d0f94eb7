//! From a file and a digest to a plug-in, and from a file to what an admin should know of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs,
    reason = "tests may state what they know"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use countersign_catalog::{Catalog, FileError, InstallError, LockFile, Reason, inspect};
use countersign_sandbox::{
    Compiler, Digest, Grants, LoadError, PluginSettings, PoolSize, Sandbox, Standing,
};

// The same guests as the sandbox's own tests use.
#[path = "../../sandbox/tests/guests/mod.rs"]
mod guests;

use guests::Guest;

struct House {
    folder: tempfile::TempDir,
    sandbox: Arc<Sandbox>,
}

impl House {
    fn new() -> Self {
        let pool = PoolSize { concurrent_calls: 2, ..PoolSize::default() };
        Self {
            folder: tempfile::tempdir().unwrap(),
            sandbox: Arc::new(Sandbox::new(pool).unwrap()),
        }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("plugins")
    }

    fn catalog(&self) -> Catalog {
        Catalog::open(Arc::clone(&self.sandbox), &self.state(), Compiler::InThisProcess).unwrap()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn logging() -> Guest {
    Guest::verifying(
        "(call $log (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
         (i32.const 0x800)",
    )
    .logging()
}

fn settings() -> PluginSettings {
    let grants = Grants { log: true, ..Grants::default() };
    PluginSettings { grants, ..PluginSettings::new("p") }
}

async fn install(catalog: &mut Catalog, path: &Path, bytes: &[u8]) -> Vec<String> {
    let installed = catalog.install_component(path, Digest::of(bytes), settings()).await.unwrap();
    installed.changes.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_component_is_installed_and_locked_by_its_digest() {
    let house = House::new();
    let bytes = logging().build();
    let path = house.file("p.wasm", &bytes);
    let mut catalog = house.catalog();
    assert!(install(&mut catalog, &path, &bytes).await.is_empty());
    let lock = LockFile::read(&house.state().join("plugins.lock")).unwrap();
    let locked = &lock.plugins["p"];
    assert_eq!(locked.digest, Digest::of(&bytes).to_string());
    assert_eq!(locked.version, "1.2.3");
    assert_eq!(locked.contract, "1.0.0-rc.2");
    assert_eq!(locked.imports, ["countersign:verifier/log@1.0.0-rc.2"]);
}

#[tokio::test]
async fn a_component_with_another_digest_is_refused_before_anything_runs() {
    let house = House::new();
    let bytes = Guest::default().build();
    let path = house.file("p.wasm", &bytes);
    let mut other = bytes.clone();
    other.push(0);
    let mut catalog = house.catalog();
    let error = catalog.install_component(&path, Digest::of(&other), settings()).await.unwrap_err();
    let InstallError { reason: Reason::File(FileError::Digest { expected, found, .. }), .. } =
        &error
    else {
        panic!("{error}")
    };
    assert_eq!((*expected, *found), (Digest::of(&other), Digest::of(&bytes)));
    let left: Vec<_> =
        fs::read_dir(house.state()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["artefact.key"], "nothing was compiled");
}

#[tokio::test]
async fn a_new_version_with_more_powers_is_announced() {
    let house = House::new();
    let old = Guest::default().build();
    let new = Guest { version: "2.0.0", ..logging() }.build();
    let path = house.file("p.wasm", &old);
    let mut catalog = house.catalog();
    assert!(install(&mut catalog, &path, &old).await.is_empty());
    fs::write(&path, &new).unwrap();
    // Another process: the memory is the lock file.
    let mut catalog = house.catalog();
    let changes = install(&mut catalog, &path, &new).await;
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert!(changes[0].contains("1.2.3") && changes[0].contains("2.0.0"), "{changes:?}");
    assert_eq!(changes[1], "imports `countersign:verifier/log@1.0.0-rc.2` now");
    assert!(install(&mut catalog, &path, &new).await.is_empty(), "said once");
}

#[tokio::test]
async fn a_refused_plugin_leaves_the_lock_file_as_it_was() {
    let house = House::new();
    let good = Guest::default().build();
    let path = house.file("p.wasm", &good);
    let mut catalog = house.catalog();
    install(&mut catalog, &path, &good).await;
    let before = fs::read(house.state().join("plugins.lock")).unwrap();
    let bad = Guest { describe: "(unreachable)".into(), ..Guest::default() }.build();
    fs::write(&path, &bad).unwrap();
    let error = catalog.install_component(&path, Digest::of(&bad), settings()).await.unwrap_err();
    assert!(matches!(error.reason, Reason::Load(LoadError::Trial { .. })), "{error}");
    assert_eq!(fs::read(house.state().join("plugins.lock")).unwrap(), before);
}

#[tokio::test]
async fn files_that_are_no_components_are_named_for_what_they_are() {
    let house = House::new();
    let mut catalog = house.catalog();
    for (name, bytes, found) in [
        ("core.wasm", wat::parse_str("(module)").unwrap(), "core WebAssembly module"),
        ("p.cwasm", b"\x7fELF\x02\x01\x01".to_vec(), "machine code"),
        ("empty.wasm", Vec::new(), "an empty file"),
        ("readme.txt", b"hello".to_vec(), "something else"),
    ] {
        let path = house.file(name, &bytes);
        let error =
            catalog.install_component(&path, Digest::of(&bytes), settings()).await.unwrap_err();
        assert!(error.to_string().contains(found), "{error}");
    }
    let large = house.folder.path().join("large.wasm");
    let file = fs::File::create(&large).unwrap();
    file.set_len(1 << 30).unwrap();
    let error = catalog.install_component(&large, Digest([0; 32]), settings()).await.unwrap_err();
    assert!(matches!(error.reason, Reason::File(FileError::TooLarge { .. })), "{error}");
    let absent = house.folder.path().join("absent.wasm");
    let error = catalog.install_component(&absent, Digest([0; 32]), settings()).await.unwrap_err();
    assert!(error.to_string().contains("absent.wasm"), "{error}");
}

#[tokio::test]
async fn a_lock_file_that_is_not_ours_is_refused_with_what_to_do() {
    let house = House::new();
    drop(house.catalog());
    for text in ["{", "{\"format\":2,\"plugins\":{}}", "{\"format\":1,\"plugins\":{},\"x\":1}"] {
        fs::write(house.state().join("plugins.lock"), text).unwrap();
        let error =
            Catalog::open(Arc::clone(&house.sandbox), &house.state(), Compiler::InThisProcess)
                .unwrap_err();
        assert!(error.to_string().contains("remove it"), "{text}: {error}");
    }
}

#[tokio::test]
async fn inspection_needs_no_grants_and_says_what_each_import_is_for() {
    let house = House::new();
    let path = house.file("p.wasm", &logging().sleeping().build());
    let seen = inspect(&house.sandbox, &Compiler::InThisProcess, &path).await.unwrap();
    assert_eq!(seen.contract_version.as_deref(), Some("1.0.0-rc.2"));
    assert_eq!(seen.description.as_ref().unwrap().name, "test-guest");
    assert!(seen.obstacles.is_empty(), "{:?}", seen.obstacles);
    assert!(seen.imports.iter().all(|import| !import.why.is_empty()));
    let log = seen.imports.iter().find(|import| import.name.contains("/log@")).unwrap();
    assert_eq!(log.standing, Standing::Grant);
    let toml = seen.to_toml();
    assert!(toml.contains("[plugin.test-guest.grants]\nlog = true\n"), "{toml}");
    assert!(toml.contains(&seen.digest), "{toml}");
    serde_json::to_string(&seen).unwrap();
    assert!(!house.state().exists(), "nothing was kept");
}

#[tokio::test]
async fn inspection_shows_what_stands_in_the_way() {
    let house = House::new();
    let path = house.file("p.wasm", &guests::importing_only("wasi:filesystem/types@0.2.6"));
    let seen = inspect(&house.sandbox, &Compiler::InThisProcess, &path).await.unwrap();
    assert!(seen.obstacles.iter().any(|text| text.contains("wasi:filesystem")), "{seen:?}");

    let path = house
        .file("other.wasm", &guests::exporting_only("countersign:verifier/verifier@1.0.0-rc.9"));
    let seen = inspect(&house.sandbox, &Compiler::InThisProcess, &path).await.unwrap();
    assert_eq!(seen.contract_version.as_deref(), Some("1.0.0-rc.9"));
    assert!(seen.obstacles.iter().any(|text| text.contains("1.0.0-rc.9")), "{seen:?}");
}

#[tokio::test]
async fn inspection_shows_the_sdk_and_the_tools() {
    let house = House::new();
    // A custom section behind the component: id 0, size, length of the name, name, content.
    let mut bytes = Guest::default().build();
    let (name, content) = (b"countersign-sdk", b"rust 0.1.0");
    bytes.push(0);
    bytes.push(u8::try_from(1 + name.len() + content.len()).unwrap());
    bytes.push(u8::try_from(name.len()).unwrap());
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(content);
    let path = house.file("p.wasm", &bytes);
    let seen = inspect(&house.sandbox, &Compiler::InThisProcess, &path).await.unwrap();
    assert_eq!(seen.metadata.sdk.as_deref(), Some("rust 0.1.0"));
    assert!(seen.metadata.producers.iter().any(|tool| tool.name == "wit-component"), "{seen:?}");
}
