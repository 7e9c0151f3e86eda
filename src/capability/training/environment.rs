//! Which environment variables are captured: those that change results, and never one that may hold a secret.

/// Variables that change the bits of a result, or what a program finds.
const KEPT: &[&str] = &[
    "LANG",
    "LANGUAGE",
    "TZ",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "RUSTFLAGS",
];
/// Knobs by how their names begin.
const KNOBS: &[&str] = &[
    "PYTHONHASHSEED",
    "OMP_",
    "KMP_",
    "OPENBLAS_",
    "GOTO_NUM_THREADS",
    "MKL_",
    "BLIS_",
    "VECLIB_",
    "NUMEXPR_",
    "NUMBA_",
    "NPY_",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_LAUNCH_BLOCKING",
    "CUDNN_",
    "TF_DETERMINISTIC",
    "TF_CUDNN",
    "TF_ENABLE_",
    "TF_NUM_",
    "XLA_FLAGS",
    "NCCL_ALGO",
    "NCCL_PROTO",
    "NVIDIA_TF32_OVERRIDE",
    "PYTORCH_",
    "TORCH_",
    "RAYON_NUM_THREADS",
    "TOKENIZERS_PARALLELISM",
    "POLARS_MAX_THREADS",
    "JAX_",
    "SKLEARN_",
    "LOKY_MAX_CPU_COUNT",
];
const SECRET: &[&str] = &[
    "SECRET",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "APIKEY",
    "API_KEY",
    "ACCESS_KEY",
    "PRIVATE",
    "AUTH",
];

/// Whether a name looks like that of a secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    // A tokenizer is none.
    let name = name.replace("TOKENIZER", "");
    SECRET.iter().any(|part| name.contains(part)) || name.ends_with("_KEY") || name == "KEY"
}

/// Whether a variable turns a knob of determinism.
pub fn is_knob(name: &str) -> bool {
    !is_secret(name) && (KNOBS.iter().any(|k| name.starts_with(k)) || name.to_ascii_uppercase().contains("SEED"))
}

/// Whether a variable is captured; `further` are names that the user asked for.
pub fn is_kept(name: &str, further: &[String]) -> bool {
    !is_secret(name)
        && (is_knob(name) || name.starts_with("LC_") || KEPT.contains(&name) || further.iter().any(|f| f == name))
}

/// Knobs whose absence lets results differ, and what they decide: methods measured with real libraries.
pub const WANTED: &[(&str, &[&str], &str)] = &[
    (
        "thread counts",
        &["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"],
        "another number of threads adds up in another order",
    ),
    ("PYTHONHASHSEED", &["PYTHONHASHSEED"], "without it sets and hashes of text come in another order each time"),
    (
        "BLAS core type",
        &["OPENBLAS_CORETYPE", "MKL_CBWR"],
        "another CPU model takes other instructions, which round otherwise",
    ),
];

/// The same where there is a GPU.
pub const WANTED_ON_GPU: (&str, &[&str], &str) = (
    "cuBLAS workspace",
    &["CUBLAS_WORKSPACE_CONFIG"],
    "without it cuBLAS may add up in another order each time (:4096:8 pins it, with \
     torch.use_deterministic_algorithms)",
);

/// A word of a command that holds a secret, masked; `None` when it does not.
pub fn masked(previous: Option<&str>, word: &str) -> Option<String> {
    if let Some((name, _)) = word.split_once('=')
        && is_secret(name.trim_start_matches('-'))
    {
        return Some(format!("{name}=***"));
    }
    if previous.is_some_and(|p| p.starts_with('-') && !p.contains('=') && is_secret(p.trim_start_matches('-'))) {
        return Some("***".to_owned());
    }
    without_password(word)
}

/// A URL without its password; `None` when it has none.
pub fn without_password(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let host_from = rest.find('/').unwrap_or(rest.len());
    let at = rest[..host_from].rfind('@')?;
    Some(format!("{scheme}://***{}", &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_kept_and_knobs_are() {
        for secret in ["AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "DB_PASSWORD", "OPENAI_API_KEY", "JAX_AUTH", "SEED_TOKEN"] {
            assert!(!is_kept(secret, &[secret.to_owned()]), "{secret}");
        }
        for knob in ["PYTHONHASHSEED", "OMP_NUM_THREADS", "OPENBLAS_CORETYPE", "TRAIN_SEED", "TOKENIZERS_PARALLELISM"] {
            assert!(is_knob(knob) && is_kept(knob, &[]), "{knob}");
        }
        for knob in ["CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "NCCL_ALGO", "CUDNN_DETERMINISTIC", "XLA_FLAGS"]
        {
            assert!(is_knob(knob) && is_kept(knob, &[]), "{knob}");
        }
        assert!(is_kept("CUDA_VISIBLE_DEVICES", &[]));
        assert!(is_kept("TZ", &[]) && !is_kept("HOME", &[]) && is_kept("MINE", &["MINE".to_owned()]));
    }

    #[test]
    fn secrets_in_commands_are_masked() {
        assert_eq!(masked(None, "--api-key=x").as_deref(), Some("--api-key=***"));
        assert_eq!(masked(Some("--password"), "x").as_deref(), Some("***"));
        assert_eq!(masked(None, "postgres://a:b@h/d").as_deref(), Some("postgres://***@h/d"));
        assert_eq!(masked(Some("--epochs"), "3"), None);
        assert_eq!(masked(None, "https://h/a@b"), None);
    }
}
