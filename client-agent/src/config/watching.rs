//! `[watch]`: what the bank says of its own work, by which its scores are measured. What is
//! measured is `watch.rs`'s.

use host::config::ConfigError;
use serde::Deserialize;

use crate::watch::Settings;

/// The section as it is written; what is left out stays as it is by default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawWatch {
    alerts_a_day: u32,
    mature_days: u16,
}

impl Default for RawWatch {
    fn default() -> Self {
        let Settings {
            alerts_a_day,
            mature_days,
        } = Settings::default();
        Self {
            alerts_a_day,
            mature_days,
        }
    }
}

impl RawWatch {
    pub(super) fn settings(&self) -> Result<Settings, ConfigError> {
        let wrong = |key: &str, found: u32, most: u32| ConfigError::Value {
            key: format!("watch.{key}"),
            found: found.to_string(),
            expected: format!("a number from 1 to {most}"),
        };
        let (alerts, days) = (self.alerts_a_day, u32::from(self.mature_days));
        if !(1..=Settings::ALERTS_MAX).contains(&alerts) {
            return Err(wrong("alerts_a_day", alerts, Settings::ALERTS_MAX));
        }
        let days_max = u32::from(Settings::DAYS_MAX);
        if !(1..=days_max).contains(&days) {
            return Err(wrong("mature_days", days, days_max));
        }
        Ok(Settings {
            alerts_a_day: self.alerts_a_day,
            mature_days: self.mature_days,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, ConfigError> {
        toml::from_str::<RawWatch>(text).unwrap().settings()
    }

    #[test]
    fn what_is_left_out_is_the_default_and_what_cannot_be_is_named() {
        let expected = Settings {
            alerts_a_day: 40,
            ..Settings::default()
        };
        assert_eq!(read("alerts_a_day = 40").unwrap(), expected);
        assert_eq!(read("").unwrap(), Settings::default());
        for (text, key) in [
            ("alerts_a_day = 0", "watch.alerts_a_day"),
            ("alerts_a_day = 5000", "watch.alerts_a_day"),
            ("mature_days = 0", "watch.mature_days"),
            ("mature_days = 400", "watch.mature_days"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(key), "{error}");
        }
    }
}
