//! Writes the seeds of a target into a folder: `seeds TARGET FOLDER`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a tool of the tests")]

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (target, folder) = (arguments.next().expect("a target"), arguments.next());
    let folder = std::path::PathBuf::from(folder.expect("a folder"));
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    for (number, seed) in (countersign_fuzz::target(&target).seeds)().iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed).expect("space on the disk");
    }
}
