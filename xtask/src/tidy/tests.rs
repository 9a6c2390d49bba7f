//! Each rule finds what it is for, and leaves good files alone.

use super::*;
use files::SourceFile;

fn tree(files: &[(&str, &str)]) -> Tree {
    Tree {
        files: files
            .iter()
            .map(|(path, text)| SourceFile::new((*path).to_owned(), (*text).to_owned()))
            .collect(),
    }
}

/// What is found in one file, as `line: what`.
fn findings(path: &str, text: &str) -> Vec<String> {
    check(&tree(&[(path, text)]))
        .into_iter()
        .map(|f| format!("{}: {}", f.line, f.what))
        .collect()
}

fn manifest(name: &str, dependencies: &str) -> String {
    format!("[package]\nname = \"{name}\"\n[dependencies]\n{dependencies}")
}

#[test]
fn a_good_file_is_left_alone() {
    let good =
        "//! Adds.\n\n/// Sum.\npub fn add(a: u8, b: u8) -> u8 {\n    a.wrapping_add(b) // Instant::now\n}\n";
    assert_eq!(findings("wire/a/src/lib.rs", good), [""; 0]);
}

#[test]
fn layers_hold_in_manifests() {
    let wire = manifest("offhook-wire", "");
    let protocol = manifest("offhook-protocol", "offhook-wire.workspace = true\n");
    let wrong_wire = manifest(
        "offhook-wrong",
        "offhook-protocol.workspace = true\ntokio.workspace = true\n",
    );
    let service = manifest("offhook-a", "offhook-b.workspace = true\n");
    let other = manifest("offhook-b", "offhook-wire = { path = \"x\" }\n");
    let binary = manifest(
        "offhook",
        "offhook-a.workspace = true\noffhook-b.workspace = true\n",
    );
    let found = check(&tree(&[
        ("wire/wire/Cargo.toml", &wire),
        ("protocol/protocol/Cargo.toml", &protocol),
        ("wire/wrong/Cargo.toml", &wrong_wire),
        ("services/a/Cargo.toml", &service),
        ("services/b/Cargo.toml", &other),
        ("services/offhook/Cargo.toml", &binary),
    ]));
    let found = found.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        found,
        [
            "wire/wrong/Cargo.toml: wire must not depend on protocol/protocol",
            "wire/wrong/Cargo.toml: tokio does input and output, which wire leaves to the shells",
            "services/a/Cargo.toml: services must not depend on services/b",
        ]
    );
}

#[test]
fn the_vsp_cannot_read_sdp() {
    let found = check(&tree(&[(
        "services/vsp/Cargo.toml",
        &manifest("offhook-vsp", "offhook-sdp.workspace = true\n"),
    )]));
    assert!(
        found.iter().any(|f| f.what.contains("never looks inside an SDP")),
        "{found:?}"
    );
}

#[test]
fn pure_modules_import_no_runtime() {
    let text = "//! X.\nuse tokio::sync::mpsc;\nuse offhook_process::Context;\n";
    assert_eq!(findings("services/vsp/src/session.rs", text).len(), 2);
    for shell in [
        "services/vsp/src/run.rs",
        "services/vsp/src/run_http.rs",
        "services/vsp/src/run/link.rs",
        "services/offhook/src/up.rs",
    ] {
        assert_eq!(findings(shell, text), [""; 0], "{shell}");
    }
    let in_tests = "//! X.\n#[cfg(test)]\nmod tests {\n    use tokio::net::UdpSocket;\n}\n";
    assert_eq!(findings("services/vsp/src/session.rs", in_tests), [""; 0]);
}

#[test]
fn clocks_are_for_shells() {
    let text = "//! X.\nfn f() -> Instant {\n    Instant::now()\n}\n";
    assert_eq!(findings("protocol/sip/src/timer.rs", text).len(), 1);
    assert_eq!(findings("io/process/src/drain.rs", text), [""; 0]);
    assert_eq!(findings("protocol/sip/tests/rfc3261.rs", text), [""; 0]);
}

#[test]
fn tests_do_not_sleep() {
    let text = "//! X.\n#[cfg(test)]\nmod tests {\n    fn t() {\n        std::thread::sleep(D);\n    }\n}\n";
    assert!(findings("io/process/src/x.rs", text)[0].starts_with("5: a test must not sleep"));
    assert!(
        findings(
            "testing/interop/src/x.rs",
            "//! X.\nfn t() { tokio::time::sleep(D).await }\n"
        )[0]
        .starts_with("2: ")
    );
    for may in ["io/process/src/x.rs", "testing/load/src/run/x.rs"] {
        let text = "//! X.\nfn t() { tokio::time::sleep(D) }\n";
        assert_eq!(findings(may, text), [""; 0]);
    }
}

#[test]
fn sizes_and_headers() {
    let long_file = format!("//! X.\n{}", "const A: u8 = 1;\n".repeat(600));
    assert!(findings("wire/a/src/a.rs", &long_file)[0].contains("601 lines"));
    let body = "        a();\n".repeat(69);
    let long_function =
        format!("//! X.\nimpl A {{\n    pub(crate) async fn f(\n    ) {{\n{body}    }}\n}}\n");
    assert!(findings("wire/a/src/a.rs", &long_function)[0].contains("3: fn f has 72 lines"));
    assert!(findings("wire/a/src/a.rs", "fn f() {}\n")[0].contains("must open with"));
    assert!(findings("clients/a/src/a.ts", "export {}\n")[0].contains("must open with"));
}

#[test]
fn words_of_unfinished_work_and_of_machines() {
    let unfinished = format!(
        "//! X.\n// {}: later\n#[allow(dead_code)]\nfn f() {{ {}!() }}\n",
        concat!("TO", "DO"),
        "todo"
    );
    assert_eq!(findings("wire/a/src/a.rs", &unfinished).len(), 3);
    let path = format!("See {}x.\n", concat!("/wo", "rk/"));
    assert_eq!(findings("README.md", &path).len(), 1);
    assert_eq!(findings("README.md", "A method named todoist.\n"), [""; 0]);
}

#[test]
fn lock_files_name_no_registry() {
    assert_eq!(
        findings(
            "clients/package-lock.json",
            "{\n\"resolved\": \"https://registry.example/x.tgz\"\n}\n"
        )
        .len(),
        1
    );
    assert_eq!(
        findings(
            "clients/package-lock.json",
            "{\n\"resolved\": \"web-sdk\", \"link\": true\n}\n"
        ),
        [""; 0]
    );
    assert_eq!(
        findings("Cargo.lock", "source = \"registry+https://mirror.example/\"\n").len(),
        1
    );
}

#[test]
fn documents_name_what_is_there() {
    let map = "See `wire/a/src/lib.rs`, `wire/a`, `protocol/`, `wire/<name>` and `wire/b/src/gone.rs`.\n";
    let good = ("wire/a/src/lib.rs", "//! A.\n");
    let found = check(&tree(&[("ARCHITECTURE.md", map), good]));
    let found = found.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        found,
        [
            "ARCHITECTURE.md:1: `protocol/` does not exist",
            "ARCHITECTURE.md:1: `wire/b/src/gone.rs` does not exist"
        ]
    );
}

#[test]
fn a_passage_that_a_document_quotes_stands_where_it_says() {
    let test = ("e2e/tests/a.test.mjs", "// A.\ntest(\"R1: it works\", () => {});");
    let document = "| R1 | `e2e/tests/a.test.mjs` › `R1: it works`<br>`e2e/tests/a.test.mjs` › `R2:` |";
    let found = check(&tree(&[test, ("docs/requirements.md", document)]));
    let found = found.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        found,
        ["docs/requirements.md:1: `R2:` does not stand in `e2e/tests/a.test.mjs`"]
    );
}
