//! The binary: parse, run, say what went wrong, and with which exit code.

fn main() -> std::process::ExitCode {
    opsroom::cli::main()
}
