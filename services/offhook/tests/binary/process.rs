//! Processes that serve until they are told to leave.

use crate::support::{offhook, run, stderr};
use std::{
    fs,
    io::{BufRead, BufReader},
    net::UdpSocket,
    process::{Child, Command, Stdio},
};
use tempfile::{TempDir, tempdir};

const ALL_ROLES: &str = "[admin]\nlisten = '127.0.0.1:0'\n\
    [vsp]\nlisten = '127.0.0.1:0'\nsip = '127.0.0.1:0'\n[[user]]\nname = 'alice'\npassword = 'a'\n\
    [sip_proxy]\nudp = '127.0.0.1:0'\n[[carrier]]\nname = 'demo'\nuri = 'sip:127.0.0.1:5080'\n\
    [[route]]\nprefix = ''\ncarriers = ['demo']\n\
    [b2bua_rtc]\nwebrtc = '127.0.0.1:0'\n[demo_carrier]\nlisten = '127.0.0.1:0'\n\
    [geo_dns]\nlisten = '127.0.0.1:0'\nzone = 'rtc.example.com'\ndefault_region = 'here'\n\
    [[geo_dns.site]]\nname = 'A'\naddresses = ['127.0.0.1']\n[[geo_dns.region]]\nname = 'here'\nsites = ['A']\n";

/// A process and the lines it has logged until it was ready.
struct Process {
    child: Child,
    errors: BufReader<std::process::ChildStderr>,
    log: Vec<String>,
    _folder: TempDir,
}

impl Process {
    fn start(config: &str, arguments: &[&str]) -> Self {
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("a.toml"), config).unwrap();
        let mut command = offhook(folder.path(), arguments);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let mut process = Self {
            child,
            errors,
            log: Vec::new(),
            _folder: folder,
        };
        process.read_until("ready");
        process
    }

    /// Reads the log until a JSON line has this message.
    fn read_until(&mut self, message: &str) {
        loop {
            let mut line = String::new();
            assert!(
                self.errors.read_line(&mut line).unwrap() > 0,
                "it ended: {:#?}",
                self.log
            );
            self.log.push(line.clone());
            let json: serde_json::Value = serde_json::from_str(&line).unwrap();
            if json["message"] == message {
                return;
            }
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Its exit code and all that it logged.
    fn end(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        self.log.extend(self.errors.lines().map_while(Result::ok));
        (code, self.log.join("\n"))
    }
}

#[test]
fn all_roles_start_and_leave_in_order() {
    for signal in ["INT", "TERM"] {
        let process = Process::start(ALL_ROLES, &["--log-format", "json", "up", "--config", "a.toml"]);
        process.signal(signal);
        let (code, log) = process.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(
            !log.contains("\"ERROR\"") && !log.contains("did not end"),
            "{log}"
        );
        assert!(
            log.contains("geo-dns demo-carrier sip-proxy b2bua-rtc vsp"),
            "{log}"
        );
    }
}

#[test]
fn one_role_alone() {
    for role in ["sip-proxy", "geo-dns"] {
        let process = Process::start(ALL_ROLES, &["--log-format", "json", role, "--config", "a.toml"]);
        process.signal("TERM");
        let (code, log) = process.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains(&format!("\"roles\":\"{role}\"")), "{log}");
    }
}

#[test]
fn a_taken_port_is_named_with_the_remedy() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempdir().unwrap();
    let config = ALL_ROLES.replace("udp = '127.0.0.1:0'", &format!("udp = '{address}'"));
    fs::write(folder.path().join("a.toml"), config).unwrap();
    let output = run(folder.path(), &["up", "--config", "a.toml"]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains(&format!("sip-proxy: cannot listen on udp {address}")),
        "{text}"
    );
    assert!(text.contains("another process has port"), "{text}");
}

#[test]
fn a_taken_admin_port_is_named_with_the_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempdir().unwrap();
    let config = ALL_ROLES.replace(
        "[admin]\nlisten = '127.0.0.1:0'",
        &format!("[admin]\nlisten = '{address}'"),
    );
    fs::write(folder.path().join("a.toml"), config).unwrap();
    let text = stderr(&run(folder.path(), &["up", "--config", "a.toml"]));
    assert!(
        text.contains(&format!("admin.listen: cannot listen on tcp {address}")),
        "{text}"
    );
    assert!(text.contains("another process has port"), "{text}");
}

#[test]
fn a_configuration_with_errors_does_not_start() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("a.toml"), "[b2bua_rtc]\nng = '0.0.0.0:2223'\n").unwrap();
    let output = run(folder.path(), &["up", "--config", "a.toml"]);
    let text = stderr(&output);
    assert!(
        !output.status.success() && text.contains("offhook check") && text.contains("b2bua_rtc.ng"),
        "{text}"
    );
    let other = run(folder.path(), &["vsp", "--config", "a.toml"]);
    assert!(!other.status.success(), "{other:?}");
}
