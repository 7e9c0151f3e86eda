//! The binary: everything is in [`opsroom::run`].

fn main() -> std::process::ExitCode {
    keep_memory_small();
    opsroom::run::main()
}

/// The C library's allocator keeps an arena a thread, and keeps what large answers needed. A light agent gives it back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)] // mallopt has no safe wrapper; called before any thread starts, it only sets two numbers
fn keep_memory_small() {
    const LARGE_BYTES: libc::c_int = 256 << 10;
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_memory_small() {}
