//! The coordinator as a process of its own: the test program starts itself again, asked by its
//! environment to be one. So it can be killed without a word, as a power cut would.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use coordinator::config::Config;
use host::address;
use host::usage::Usage;

use crate::{PATIENCE, POLL};

const ASKED: &str = "PHALANX_TEST_COORDINATOR";

/// Serves as the coordinator where this process was started to be one, and never returns then.
pub fn serve_if_asked() {
    let Ok(path) = std::env::var(ASKED) else {
        return;
    };
    let config = Config::load(Path::new(&path)).expect("the harness wrote a configuration");
    host::telemetry::log(config.log);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let served = runtime.block_on(coordinator::server::run(&config));
    std::process::exit(i32::from(served.is_err()));
}

/// A coordinator process.
pub struct Coordinator {
    folder: PathBuf,
    test: &'static str,
    child: Child,
    /// Where it listens; the same after a restart.
    pub address: SocketAddr,
}

impl Coordinator {
    /// Starts one in `folder`, where its identity is. `test` names the test function that calls
    /// [`serve_if_asked`].
    #[must_use]
    pub fn start(folder: &Path, test: &'static str) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let child = spawn(folder, test, any);
        let address = wait_for_address(folder);
        Self {
            folder: folder.to_owned(),
            test,
            child,
            address,
        }
    }

    /// Kills it without a word and starts it again on the same address.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.child = spawn(&self.folder, self.test, self.address);
        assert_eq!(wait_for_address(&self.folder), self.address);
    }

    /// What it has taken of the machine.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn kill(&mut self) {
        self.child.kill().expect("our own child can be killed");
        self.child.wait().expect("our own child can be waited for");
        std::fs::remove_file(self.folder.join("store/quic.addr"))
            .expect("it had written its address");
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        // It may be gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, test: &str, listen: SocketAddr) -> Child {
    let config = folder.join("coordinator.toml");
    let text = format!(
        "[identity]\nfolder = {folder:?}\n[listen]\naddress = \"{listen}\"\n\
         [store]\nfolder = {:?}\n\
         [http]\naddress = \"127.0.0.1:0\"\n[log]\nformat = \"text\"\n",
        folder.join("store")
    );
    std::fs::write(&config, text).expect("the folder can be written");
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("the folder can be written");
    Command::new(std::env::current_exe().expect("a test program has a path"))
        .args([test, "--exact", "--nocapture"])
        .env(ASKED, &config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the test program starts again")
}

fn wait_for_address(folder: &Path) -> SocketAddr {
    let began = Instant::now();
    loop {
        if let Some(address) = address::find(&folder.join("store"), "quic.addr") {
            return address;
        }
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(
            began.elapsed() < PATIENCE,
            "the coordinator did not come up: {log}"
        );
        std::thread::sleep(POLL);
    }
}
