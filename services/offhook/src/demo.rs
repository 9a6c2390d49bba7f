//! What `offhook up` is without a configuration: users, numbers, and the page it prints.

use crate::{config::Config, page, ports, serve::Serving};
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use std::{
    io::{self, IsTerminal, Write},
    net::SocketAddr,
};

/// The configuration: a file like any other.
const CONFIG: &str = include_str!("demo.toml");

/// What the softphone shows of the demo (`/demo.json`).
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Demo {
    users: &'static [User],
    numbers: &'static [Number],
}

#[derive(Debug, Clone, Copy, Serialize)]
struct User {
    login: &'static str,
    password: &'static str,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Number {
    number: &'static str,
    name: &'static str,
    text: &'static str,
}

/// Users of `demo.toml`, and the numbers of the demo carrier.
pub(crate) const DEMO: Demo = Demo {
    users: &[
        User {
            login: "alice",
            password: "alice-demo",
        },
        User {
            login: "bob",
            password: "bob-demo",
        },
    ],
    numbers: &[
        number("9196", "Echo", "Hear yourself."),
        number("9197", "Tone", "440 Hz until you hang up."),
        number(
            "9198",
            "Announcement",
            "Heard before the call is answered (early media).",
        ),
        number("9199", "Read-back", "Press digits, then #, and hear them again."),
        number("9101", "Busy", "486: the far end is in a call."),
        number("9102", "Rejected", "603: the far end declines."),
        number("9103", "No answer", "Rings until you give up."),
        number("9104", "Unknown", "404: no such number."),
    ],
};

const fn number(number: &'static str, name: &'static str, text: &'static str) -> Number {
    Number { number, name, text }
}

/// The built-in configuration; with `free_ports` on ports that nobody has, instead of the usual ones.
pub(crate) fn config(free_ports: bool) -> Config {
    let mut config = Config::parse("the built-in configuration", CONFIG).expect("demo.toml is tested");
    if free_ports {
        ports::free(&mut config);
    }
    config
}

/// Says what to click and what to dial.
pub(crate) fn announce(serving: &Serving) {
    let mut out = io::stdout().lock();
    let coloured = out.is_terminal();
    // Nobody reads it if standard output is closed: no reason to stop.
    let _ = print(
        &mut out,
        serving.readiness.address("vsp", "http"),
        serving.admin,
        coloured,
    );
}

fn print(
    out: &mut impl Write,
    http: Option<SocketAddr>,
    admin: SocketAddr,
    coloured: bool,
) -> io::Result<()> {
    let style = |style: Style| if coloured { style } else { Style::new() };
    let (bold, link) = (
        style(Style::new().bold()),
        style(AnsiColor::Cyan.on_default().underline()),
    );
    let port = http.map_or(8080, |address| address.port());
    writeln!(out, "\n  {bold}Offhook is ready.{bold:#}\n")?;
    writeln!(out, "  Open     {link}http://localhost:{port}{link:#}")?;
    if !page::is_built() {
        writeln!(
            out,
            "           (built without the softphone: `cargo xtask up` builds it)"
        )?;
    }
    for (at, user) in DEMO.users.iter().enumerate() {
        let label = if at == 0 { "Log in" } else { "or" };
        writeln!(out, "  {label:<8} {} with password {}", user.login, user.password)?;
    }
    for (at, number) in DEMO.numbers.iter().enumerate() {
        let label = if at == 0 { "Dial" } else { "" };
        writeln!(
            out,
            "  {label:<8} {bold}{}{bold:#}  {}: {}",
            number.number, number.name, number.text
        )?;
    }
    writeln!(
        out,
        "  Look     {link}http://{admin}/calls{link:#} (each call, at every hop), /metrics, /readyz"
    )?;
    writeln!(
        out,
        "  SDK      new TelnyxRTC({{ host: \"ws://localhost:{port}\", login: \"alice\", password: \"alice-demo\", iceServers: [] }})"
    )?;
    writeln!(out, "\n  Ctrl-C to stop.\n")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use offhook_process::Severity;

    #[test]
    fn the_built_in_configuration_is_sound() {
        let problems = config(false).check();
        let errors = problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .collect::<Vec<_>>();
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn users_of_the_page_are_users_of_the_configuration() {
        for user in DEMO.users {
            assert!(CONFIG.contains(&format!("name = \"{}\"", user.login)), "{user:?}");
            assert!(
                CONFIG.contains(&format!("password = \"{}\"", user.password)),
                "{user:?}"
            );
        }
    }

    #[test]
    fn the_printed_page_says_what_to_click_and_dial() {
        let mut out = Vec::new();
        print(
            &mut out,
            Some("127.0.0.1:8099".parse().unwrap()),
            "127.0.0.1:9090".parse().unwrap(),
            false,
        )
        .unwrap();
        let text = String::from_utf8(out).unwrap();
        for expected in [
            "http://localhost:8099",
            "alice with password alice-demo",
            "9196  Echo",
            "127.0.0.1:9090/calls",
            "Ctrl-C",
        ] {
            assert!(text.contains(expected), "{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}
