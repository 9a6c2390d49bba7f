//! `cargo xtask up`: from a fresh checkout to a call from the browser.

use crate::{
    install,
    process::{self, Failure, command, say},
};
use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Installs what is missing, builds, and becomes `offhook up`.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), Failure> {
    say("[1/4] tools");
    install::ensure(install::TO_BUILD)?;
    install::ensure_node()?;
    say("[2/4] web SDK and softphone");
    build_clients(root)?;
    say("[3/4] offhook (the first build takes some minutes)");
    process::run(command(
        root,
        &cargo(),
        &["build", "--release", "--package", "offhook"],
    ))?;
    say("[4/4] offhook up");
    let program = target_folder(root).join("release/offhook");
    let mut offhook = Command::new(&program);
    offhook.arg("up").args(arguments).current_dir(root);
    // Replaces this process, so that Ctrl-C reaches offhook alone and its exit code is ours. Returns only on failure.
    Err(Failure(format!(
        "cannot run {}: {}",
        program.display(),
        offhook.exec()
    )))
}

/// Installs the clients' packages if the lock file has changed since, and builds SDK and softphone.
pub(crate) fn build_clients(root: &Path) -> Result<(), Failure> {
    let clients = root.join("clients");
    install_packages(&clients)?;
    process::run(command(&clients, "npm", &["run", "--silent", "build"]))
}

/// `npm ci` in `folder`, unless `node_modules` is as young as the lock file.
pub(crate) fn install_packages(folder: &Path) -> Result<(), Failure> {
    let changed = |file: PathBuf| std::fs::metadata(file).and_then(|data| data.modified()).ok();
    let installed = changed(folder.join("node_modules/.package-lock.json"));
    if installed.is_some() && installed >= changed(folder.join("package-lock.json")) {
        return Ok(());
    }
    process::run(command(
        folder,
        "npm",
        &["ci", "--no-audit", "--no-fund", "--loglevel=error"],
    ))
}

/// The cargo that runs us.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Where cargo builds.
pub(crate) fn target_folder(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}
