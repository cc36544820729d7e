//! What a person sees while the demo runs, and how it stops: a line per step, a live line below
//! it, and one check that Ctrl-C was not pressed, made wherever the demo waits.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use host::shutdown::Shutdown;
use indicatif::{ProgressBar, ProgressStyle};

/// The demo's progress on standard error.
pub(crate) struct Steps {
    bar: ProgressBar,
    of: usize,
    at: AtomicUsize,
    shutdown: Shutdown,
    // Carries the signal listener; nothing else runs on it.
    _runtime: tokio::runtime::Runtime,
}

impl Steps {
    /// Progress over so many steps.
    pub(crate) fn new(of: usize) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let guard = runtime.enter();
        let shutdown = Shutdown::on_signals()?;
        drop(guard);
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {prefix} {wide_msg} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Ok(Self {
            bar,
            of,
            at: AtomicUsize::new(0),
            shutdown,
            _runtime: runtime,
        })
    }

    /// A new step begins.
    pub(crate) fn begin(&self, name: &str) {
        let at = self.at.fetch_add(1, Ordering::Relaxed) + 1;
        let title = format!("[{at}/{}] {name}", self.of);
        if self.bar.is_hidden() {
            eprintln!("{title}");
        }
        self.bar.set_prefix(title);
        self.bar.set_message("");
    }

    /// Something a reader wants to keep.
    pub(crate) fn note(&self, text: &str) {
        if self.bar.is_hidden() {
            eprintln!("      {text}");
        } else {
            self.bar.println(format!("{}  {text}", self.bar.prefix()));
        }
    }

    /// What is going on right now.
    pub(crate) fn now(&self, text: String) {
        self.bar.set_message(text);
    }

    /// Asks `ready` again and again until it answers.
    pub(crate) fn wait<T>(
        &self,
        what: &str,
        patience: Duration,
        mut ready: impl FnMut() -> Result<Option<T>, Box<dyn std::error::Error>>,
    ) -> Result<T, Box<dyn std::error::Error>> {
        let began = Instant::now();
        loop {
            self.go_on()?;
            if let Some(done) = ready()? {
                return Ok(done);
            }
            if began.elapsed() > patience {
                return Err(format!("waited {} s for {what}", patience.as_secs()).into());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Fails where the person asked to stop.
    pub(crate) fn go_on(&self) -> Result<(), Interrupted> {
        if self.shutdown.is_triggered() {
            Err(Interrupted)
        } else {
            Ok(())
        }
    }

    /// The last step is over.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// How often a waiting step looks again.
const POLL: Duration = Duration::from_millis(100);

/// The person asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: everything that was started has been stopped")]
pub(crate) struct Interrupted;

/// The demo's folder: the person's own, or one that vanishes.
pub(crate) enum Folder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    /// Opens the folder; a kept one must be new or empty, so that no run mixes with another.
    pub(crate) fn open(keep: Option<&Path>) -> Result<Self, String> {
        let Some(path) = keep else {
            return tempfile::tempdir()
                .map(Self::Temporary)
                .map_err(|e| e.to_string());
        };
        let name = path.display();
        std::fs::create_dir_all(path).map_err(|e| format!("could not create {name}: {e}"))?;
        let mut entries =
            std::fs::read_dir(path).map_err(|e| format!("could not read {name}: {e}"))?;
        if entries.next().is_some() {
            return Err(format!("{name} is not empty: name a new folder for --keep"));
        }
        let path = path
            .canonicalize()
            .map_err(|e| format!("could not read {name}: {e}"))?;
        Ok(Self::Kept(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}
