//! A process of the built binary.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::eventually;

/// Lines of standard error shown when a test fails.
const SHOWN: usize = 40;

/// A running process. Dropping it kills it, and shows its last words if the test fails.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    ended: Option<ExitStatus>,
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    /// `None`: a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    /// Starts `tailwater ARGS` in `folder`, with an empty environment but for `variables`.
    /// What it prints goes to `folder/NAME.out` and `folder/NAME.err`.
    pub(crate) fn start(
        folder: &Path,
        name: &str,
        args: &[&str],
        variables: &[(String, String)],
    ) -> Self {
        Self::start_as(env!("CARGO_BIN_EXE_tailwater"), folder, name, args, variables)
    }

    /// The same for a `program` that becomes ours in the end.
    pub(crate) fn start_as(
        program: &str,
        folder: &Path,
        name: &str,
        args: &[&str],
        variables: &[(String, String)],
    ) -> Self {
        let (stdout, stderr) =
            (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        let create = |path: &Path| File::create(path).expect("the folder can be written to");
        let child = Command::new(program)
            .args(args)
            .current_dir(folder)
            .env_clear()
            .envs(variables.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(create(&stdout))
            .stderr(create(&stderr))
            .spawn()
            .expect("the binary starts");
        Self { child, stdout, stderr, ended: None }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub(crate) fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// What it has said so far.
    pub(crate) fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// Asks it to stop: SIGTERM.
    pub(crate) fn term(&self) {
        self.signal(Signal::TERM);
    }

    /// Stops it in the middle of whatever it does: SIGSTOP. It stands still on return.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
        // Takes microseconds, and the moment must not depend on a timer.
        while !self.stands_still() {
            std::thread::yield_now();
        }
    }

    /// Lets it go on: SIGCONT.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Whether every thread has stopped, or the process is gone.
    fn stands_still(&self) -> bool {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{}/task", self.pid())) else {
            return true;
        };
        tasks.flatten().all(|task| {
            let stat = read(&task.path().join("stat"));
            let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
            state.is_none_or(|state| "TtZX".contains(state))
        })
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process has an id"), signal).expect("it is ours");
    }

    /// Has it read its configuration again: SIGHUP.
    pub(crate) fn hang_up(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process has an id"), Signal::HUP).expect("it is ours");
    }

    /// Ends it in the middle of whatever it does: SIGKILL. It is gone on return.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.ended = Some(self.child.wait().expect("it is ours"));
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("it is ours");
        }
        self.ended.is_none()
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn end(mut self, limit: Duration) -> Done {
        eventually("the process ends", limit, async || (!self.is_running()).then_some(())).await;
        let code = self.ended.and_then(|status| status.code());
        Done { code, stdout: self.stdout(), stderr: self.stderr() }
    }

    /// Resident memory in MiB (`/proc`, `VmRSS`).
    pub(crate) fn resident_mib(&self) -> u64 {
        self.memory_mib("VmRSS:")
    }

    /// The most memory in MiB that it has ever had resident (`/proc`, `VmHWM`).
    pub(crate) fn peak_mib(&self) -> u64 {
        self.memory_mib("VmHWM:")
    }

    fn memory_mib(&self, name: &str) -> u64 {
        let status = read(Path::new(&format!("/proc/{}/status", self.pid())));
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("it runs") / 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let said = self.stderr();
            let lines: Vec<&str> = said.lines().collect();
            let last = lines.len().saturating_sub(SHOWN);
            eprintln!("--- {} ---\n{}", self.stderr.display(), lines[last..].join("\n"));
        }
    }
}

fn read(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
