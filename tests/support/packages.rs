//! The packages as an app installs them: packed as for the registry and unpacked into an app's
//! `node_modules`. Every other dependency comes from the checkout.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use xtask::paths;

/// The packages in the order of their builds: a package may use those before it.
const PACKAGES: [&str; 2] = ["client", "react"];

/// The packed packages and an app that has them installed.
pub struct PackedApp {
    folder: PathBuf,
}

/// Packing takes seconds, so all tests of a program share one app.
pub static PACKED: LazyLock<PackedApp> = LazyLock::new(PackedApp::make);

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}:\n{said}");
    said
}

/// A command whose `PATH` names the checkout's Node before any other.
pub fn npm_program(name: &str, folder: &Path) -> Command {
    let bin = paths::root().join("node_modules/.bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path)));
    let mut command = Command::new(name);
    command.env("PATH", path.expect("a PATH")).current_dir(folder);
    command
}

impl PackedApp {
    fn make() -> Self {
        let folder = std::env::temp_dir().join(format!("unstuck-app-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("node_modules/@unstuck")).expect("a folder");
        let app = Self { folder };
        app.link_everything_else();
        for package in PACKAGES {
            app.install(package);
        }
        copy(&paths::root().join("examples/react"), &app.folder);
        app
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn tarballs(&self) -> impl Iterator<Item = PathBuf> {
        PACKAGES.iter().map(|package| self.tarball(package))
    }

    fn tarball(&self, package: &str) -> PathBuf {
        self.folder.join(format!("unstuck-{package}-0.1.0.tgz"))
    }

    fn link_everything_else(&self) {
        let installed = paths::root().join("node_modules");
        for entry in std::fs::read_dir(&installed).expect("`cargo xtask setup` ran") {
            let name = entry.expect("an entry").file_name();
            if name != "@unstuck" && name != ".bin" {
                std::os::unix::fs::symlink(
                    installed.join(&name),
                    self.folder.join("node_modules").join(&name),
                )
                .expect("a link");
            }
        }
    }

    fn install(&self, package: &str) {
        let source = paths::root().join("packages").join(package);
        run(npm_program("npm", &source)
            .args(["pack", "--silent", "--pack-destination"])
            .arg(&self.folder));
        let target = self.folder.join("node_modules/@unstuck").join(package);
        std::fs::create_dir_all(&target).expect("a folder");
        let mut tar = Command::new("tar");
        tar.arg("xzf").arg(self.tarball(package)).arg("--strip-components=1");
        run(tar.arg("-C").arg(&target));
    }

    /// Type-checks a folder of the app; an error has the compiler's output.
    pub fn type_check(&self, folder: &str) -> Result<(), String> {
        let compiler = paths::root().join("node_modules/typescript/bin/tsc");
        let mut tsc = npm_program("node", &self.folder);
        let output = tsc.arg(compiler).args(["--project", folder]).output().expect("tsc runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() { Ok(()) } else { Err(said) }
    }

    /// Builds the example for a project. Returns the folder of its pages.
    pub fn build(&self, url: &str, key: &str) -> PathBuf {
        self.type_check(".").expect("the example's types");
        let vite = paths::root().join("node_modules/vite/bin/vite.js");
        run(npm_program("node", &self.folder)
            .arg(vite)
            .arg("build")
            .env("VITE_SUPABASE_URL", url)
            .env("VITE_SUPABASE_ANON_KEY", key));
        self.folder.join("dist")
    }
}

/// Copies a folder without what was installed or built in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        if ["node_modules", "dist", ".env"].iter().any(|made| name == *made) {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).expect("a copy");
        }
    }
}
