//! Finds server binaries on `PATH` and in the usual folders of distributions.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::reason::Reason;

/// Returns the folder that holds all of `programs`: `given` alone if there is one, else the first on `PATH`, else
/// the newest version in `usual` folders, in which one component may contain a `*`.
pub(crate) fn find(given: Option<&Path>, usual: &[&str], programs: &[&str]) -> Result<PathBuf, Reason> {
    let holds_all = |folder: &Path| programs.iter().all(|program| is_executable(&folder.join(program)));
    if let Some(folder) = given {
        return if holds_all(folder) {
            Ok(folder.to_path_buf())
        } else {
            Err(format!("the given folder does not hold {}", programs.join(" and ")).into())
        };
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).collect::<Vec<_>>();
    let mut folders = on_path.into_iter().chain(usual.iter().flat_map(|pattern| expand(pattern)));
    folders.find(|folder| holds_all(folder)).ok_or_else(|| {
        format!("{} not found on PATH nor in the usual folders", programs.join(" and ")).into()
    })
}

/// Returns the folders that match `pattern`, the highest version number first.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((head, tail)) = pattern.split_once('*') else { return vec![PathBuf::from(pattern)] };
    let (parent, prefix) = head.rsplit_once('/').unwrap_or((".", head));
    let tail = tail.trim_start_matches('/');
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| (version(&entry.file_name().to_string_lossy()), entry.path().join(tail)))
        .collect();
    found.sort_by(|a, b| b.0.cmp(&a.0));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// Reads the numbers of a folder's name: `postgresql@15.2` is `[15, 2]`.
fn version(name: &str) -> Vec<u32> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first() {
        let folder = env::temp_dir().join(format!("tenancy-binaries-{}", std::process::id()));
        for name in ["9", "16", "15", "other"] {
            fs::create_dir_all(folder.join(name).join("bin")).expect("temporary folder");
        }
        let found = expand(&format!("{}/*/bin", folder.display()));
        let names: Vec<_> = found.iter().map(|path| path.parent().and_then(Path::file_name)).collect();
        assert_eq!(names[..3], [Some("16".as_ref()), Some("15".as_ref()), Some("9".as_ref())]);
        fs::remove_dir_all(folder).expect("temporary folder");
    }

    #[test]
    fn a_given_folder_without_the_programs_is_refused_though_path_has_them() {
        let refusal = find(Some(Path::new("/nonexistent")), &[], &["sh"]);
        assert!(refusal.is_err_and(|reason| reason.to_string().contains("does not hold sh")));
        assert!(find(None, &[], &["sh"]).is_ok());
    }
}
