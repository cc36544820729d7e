//! The targets, and how executions are dealt out to them.

/// A target of `protocol/fuzz`.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    kind: Kind,
}

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Bytes for one value.
    Value,
    /// Bytes for a sequence of inputs, with real keys: rounds of milliseconds.
    Sequence,
}

/// What one target has to do.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) target: &'static Target,
    pub(crate) executions: u64,
}

/// Every target; those that take longest are first, so that none of them is left for the end.
pub(crate) const TARGETS: &[Target] = &[
    sequence("client"),
    sequence("coordinator"),
    value("result"),
    value("to_client"),
    value("to_coordinator"),
    value("coordinator_record"),
    value("client_record"),
    value("frame"),
    value("plan"),
    value("door"),
    value("request"),
    value("operator"),
    value("credential"),
];

impl Target {
    /// Longest input: longer ones are slower, and rarely another case.
    pub(crate) fn bytes_max(&self) -> u32 {
        match self.kind {
            Kind::Value => 4_096,
            Kind::Sequence => 400,
        }
    }

    fn weight(&self) -> u64 {
        match self.kind {
            Kind::Value => VALUES_PER_SEQUENCE,
            Kind::Sequence => 1,
        }
    }
}

/// Deals executions out to the named targets, or to all.
///
/// # Errors
///
/// What to say of a name that is no target's.
pub(crate) fn shares(names: &[String], executions: u64) -> Result<Vec<Share>, String> {
    let is_known = |name: &&String| TARGETS.iter().any(|target| target.name == name.as_str());
    if let Some(name) = names.iter().find(|name| !is_known(name)) {
        let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        return Err(format!(
            "found the target {name}, expected one of: {}",
            known.join(", ")
        ));
    }
    let is_meant =
        |target: &&Target| names.is_empty() || names.iter().any(|name| name == target.name);
    let meant: Vec<&'static Target> = TARGETS.iter().filter(is_meant).collect();
    let whole: u64 = meant.iter().map(|target| target.weight()).sum();
    let share = |target: &'static Target| {
        let part = u128::from(executions) * u128::from(target.weight());
        // Rounded up: what was asked for is reached.
        let part = part.div_ceil(u128::from(whole));
        Share {
            target,
            executions: u64::try_from(part).unwrap_or(u64::MAX).max(1),
        }
    };
    Ok(meant.into_iter().map(share).collect())
}

/// A sequence takes about as long as two thousand values; five times the share of its time is
/// where the state machines are.
const VALUES_PER_SEQUENCE: u64 = 400;

const fn value(name: &'static str) -> Target {
    Target {
        name,
        kind: Kind::Value,
    }
}

const fn sequence(name: &'static str) -> Target {
    Target {
        name,
        kind: Kind::Sequence,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_target_of_the_folder_is_run() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol/fuzz/fuzz_targets");
        let entries = std::fs::read_dir(root).expect("the targets lie there");
        let stem = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.expect("the folder can be listed").path();
            let stem = path.file_stem().expect("a source file has a name");
            stem.to_string_lossy().into_owned()
        };
        let found: BTreeSet<String> = entries.map(stem).collect();
        let known = TARGETS.iter().map(|target| target.name.to_owned());
        assert_eq!(known.collect::<BTreeSet<_>>(), found);
    }

    #[test]
    fn executions_are_dealt_out_by_what_they_cost() {
        let all = shares(&[], 100_000_000).expect("no name is wrong");
        let sum: u64 = all.iter().map(|share| share.executions).sum();
        assert!((100_000_000..=100_000_100).contains(&sum), "{sum}");
        let of = |shares: &[Share], name: &str| {
            let share = shares.iter().find(|share| share.target.name == name);
            share.map(|share| share.executions)
        };
        assert_eq!(of(&all, "client"), Some(100_000_000_u64.div_ceil(4_402)));
        assert_eq!(
            of(&all, "plan"),
            Some((400 * 100_000_000_u64).div_ceil(4_402))
        );
        let some = shares(&["plan".to_owned(), "frame".to_owned()], 10).expect("both are known");
        assert_eq!((of(&some, "plan"), of(&some, "client")), (Some(5), None));
        let few = shares(&[], 1).expect("no name is wrong");
        assert!(few.iter().all(|share| share.executions == 1));
        let wrong = shares(&["plans".to_owned()], 10).expect_err("no target has that name");
        assert!(
            wrong.contains("plans") && wrong.contains("to_client"),
            "{wrong}"
        );
    }
}
