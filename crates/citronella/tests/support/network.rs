//! Two hosts connected by a virtual cable, each a network namespace without an uplink; removed on drop.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::{
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// Host `inside` has v1 (10.77.0.1), host `outside` has v0 (10.77.0.2 to 10.77.0.9).
pub struct Network {
    pub inside: Host,
    pub outside: Host,
}

pub struct Host(String);

/// Creates the network. Returns `None`, after printing the reason, if a tool or a privilege is missing.
pub fn network(tools: &[&str]) -> Option<Network> {
    for tool in ["ip"].iter().chain(tools) {
        if !is_installed(tool) {
            eprintln!("skipped: {tool} is not installed");
            return None;
        }
    }
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let host = |side: &str| {
        let name = format!("citronella-{}-{number}-{side}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output().unwrap();
        made.status.success().then_some(Host(name))
    };
    let (Some(inside), Some(outside)) = (host("inside"), host("outside")) else {
        eprintln!("skipped: creating network namespaces needs root");
        return None;
    };
    let network = Network { inside, outside };
    network.plug();
    Some(network)
}

fn is_installed(tool: &str) -> bool {
    let path = format!("{}:/usr/sbin:/sbin:/usr/local/sbin", std::env::var("PATH").unwrap_or_default());
    path.split(':').any(|folder| std::path::Path::new(folder).join(tool).is_file())
}

impl Network {
    /// Connects the cable.
    pub fn plug(&self) {
        let (inside, outside) = (&self.inside, &self.outside);
        for host in [inside, outside] {
            host.run("sysctl", &["-qw", "net.ipv6.conf.default.disable_ipv6=1"]);
            host.run("ip", &["link", "set", "lo", "up"]);
        }
        outside.run("ip", &["link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", &inside.0]);
        inside.run("ip", &["address", "add", "10.77.0.1/24", "dev", "v1"]);
        for last in 2..10 {
            outside.run("ip", &["address", "add", &format!("10.77.0.{last}/24"), "dev", "v0"]);
        }
        inside.run("ip", &["link", "set", "v1", "up"]);
        outside.run("ip", &["link", "set", "v0", "up"]);
    }

    /// Disconnects the cable: both interfaces disappear.
    pub fn unplug(&self) {
        self.inside.run("ip", &["link", "del", "v1"]);
    }
}

impl Host {
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]).args(arguments);
        command
    }

    /// Runs a program that must succeed; returns its stdout.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(program, arguments).output().unwrap();
        assert!(status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8_lossy(&stdout).into_owned()
    }

    /// Starts a program that runs until it is stopped or dropped.
    pub fn start(&self, program: &str, arguments: &[&str]) -> Running {
        let mut command = self.command(program, arguments);
        Running(Some(
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap(),
        ))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Programs started by a shell outlive the shell.
        if let Ok(inside) = Command::new("ip").args(["netns", "pids", &self.0]).output() {
            let pids = String::from_utf8_lossy(&inside.stdout);
            let _ = Command::new("kill").arg("-9").args(pids.split_whitespace()).output();
        }
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

/// A running program. `ip netns exec` executes it in place, so the process id is that of the program.
pub struct Running(Option<Child>);

impl Running {
    pub fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    /// The process, to read its output while it runs.
    pub fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    /// Sends SIGTERM and waits.
    pub fn stop(mut self) -> Output {
        let _ = Command::new("kill").args(["-TERM", &self.id().to_string()]).output();
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
