//! `serve` and `check-config`.

use std::path::Path;

use host::shutdown::Shutdown;

use super::{CommandError, Said};
use crate::agent;
use crate::config::Config;
use crate::history::Feed;

/// Runs the agent until it is told to leave.
pub(super) fn serve(path: &Path) -> Result<(), CommandError> {
    let config = Config::load(path)?;
    host::telemetry::log(config.log);
    let runtime = tokio::runtime::Runtime::new().map_err(CommandError::Runtime)?;
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals().map_err(CommandError::Runtime)?;
        Ok(agent::run(&config, &shutdown).await?)
    })
}

/// Everything that `serve` reads before it opens anything.
pub(super) fn check(path: &Path) -> Result<Said, CommandError> {
    let config = Config::load(path)?;
    agent::who_may_ask(&config)?;
    let history = &config.history;
    let feed = Feed::open(&history.map, &history.token_key, &history.file)?;
    let lacking = feed.lacking(&config.schema);
    let lacking = lacking.iter().map(|of| format!("schema lacks {of}\n"));
    Ok(Said::yes(format!(
        "{}{config:#?}",
        lacking.collect::<String>()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::write;
    use crate::scoring::tests::write_private;

    #[test]
    fn a_configuration_is_checked_with_the_files_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/config");
        let history = write(dir.path(), 1, 2);
        let tokens = dir.path().join("http.tokens");
        write_private(&tokens, &"t".repeat(64));
        let text = std::fs::read_to_string(samples.join("client-agent.toml")).unwrap();
        let text = text
            .replace(
                "/var/lib/phalanx/agent/token.key",
                &history.token_key.to_string_lossy(),
            )
            .replace("maps/generated.toml", &history.map.to_string_lossy())
            .replace(
                "/var/lib/phalanx/agent/http.tokens",
                &tokens.to_string_lossy(),
            );
        let path = dir.path().join("client-agent.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::create_dir(dir.path().join("schemas")).unwrap();
        std::fs::copy(
            samples.join("schemas/standard.toml"),
            dir.path().join("schemas/standard.toml"),
        )
        .unwrap();
        for name in ["consent.toml", "policy.toml"] {
            std::fs::copy(samples.join(name), dir.path().join(name)).unwrap();
        }
        let said = check(&path).unwrap().text;
        assert!(
            said.contains("score_bands.review") && said.contains("rounds_per_day"),
            "{said}"
        );

        std::fs::remove_file(&tokens).unwrap();
        let error = check(&path).unwrap_err();
        assert!(error.to_string().contains("http.tokens"), "{error}");
        assert_eq!(error.exit_code(), 78);
        write_private(&tokens, &"t".repeat(64));
        std::fs::write(&history.map, "[feed]\nname = 1\n").unwrap();
        let error = check(&path).unwrap_err();
        assert!(error.to_string().contains("map.toml"), "{error}");
        assert_eq!(error.exit_code(), 78);
    }
}
