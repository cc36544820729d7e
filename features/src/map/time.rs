//! Reading times: RFC 3339, epoch seconds or milliseconds, and strftime patterns at a fixed
//! offset. Zones with summer time are not known here: they need a database that changes by
//! decree, and a feed can state its offset or write UTC.

use chrono::{DateTime, NaiveDate, NaiveDateTime};

use super::MapError;

/// How a column's time is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TimeFormat {
    Rfc3339,
    EpochSeconds,
    EpochMilliseconds,
    /// A strftime pattern; what it names decides whether an offset is added.
    Pattern(String),
}

impl TimeFormat {
    /// `rfc3339`, `epoch_s`, `epoch_ms`, or a strftime pattern.
    pub(crate) fn parse(text: &str) -> Result<Self, MapError> {
        match text {
            "rfc3339" => Ok(Self::Rfc3339),
            "epoch_s" => Ok(Self::EpochSeconds),
            "epoch_ms" => Ok(Self::EpochMilliseconds),
            _ if is_pattern(text) => Ok(Self::Pattern(text.to_owned())),
            _ => Err(MapError::Format(text.to_owned())),
        }
    }

    /// Milliseconds since 1970-01-01 UTC of `text`, read at `offset_ms` east of UTC where the
    /// text names no offset itself.
    pub(crate) fn read(&self, text: &str, offset_ms: i64) -> Option<i64> {
        let text = text.trim();
        match self {
            Self::Rfc3339 => rfc3339_ms(text),
            Self::EpochMilliseconds => whole(text),
            Self::EpochSeconds => match whole(text) {
                Some(seconds) => seconds.checked_mul(1_000),
                None => {
                    let seconds: f64 = text.parse().ok()?;
                    (seconds.abs() < 1e13).then(|| (seconds * 1_000.0).round() as i64)
                }
            },
            Self::Pattern(pattern) => {
                if let Ok(zoned) = DateTime::parse_from_str(text, pattern) {
                    return Some(zoned.timestamp_millis());
                }
                let local = NaiveDateTime::parse_from_str(text, pattern)
                    .ok()
                    .or_else(|| {
                        NaiveDate::parse_from_str(text, pattern)
                            .ok()?
                            .and_hms_opt(0, 0, 0)
                    })?;
                local.and_utc().timestamp_millis().checked_sub(offset_ms)
            }
        }
    }
}

/// Milliseconds since 1970-01-01 UTC of an RFC 3339 time.
pub(crate) fn rfc3339_ms(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|time| time.timestamp_millis())
}

/// Days since 1970-01-01 of a date written `YYYY-MM-DD`.
pub(crate) fn date_day(text: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").ok()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

/// Milliseconds east of UTC of `UTC`, `Z` or an offset as `+02:00`.
pub(crate) fn offset_ms(zone: &str) -> Result<i64, MapError> {
    if matches!(zone, "UTC" | "Z" | "GMT") {
        return Ok(0);
    }
    let probe = format!("1970-01-01T00:00:00{zone}");
    let time = DateTime::parse_from_rfc3339(&probe);
    time.map(|time| i64::from(time.offset().local_minus_utc()) * 1_000)
        .map_err(|_| MapError::Zone(zone.to_owned()))
}

fn whole(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// True where chrono knows every item of the pattern; an unknown one would fail row by row.
fn is_pattern(text: &str) -> bool {
    use chrono::format::{Item, StrftimeItems};
    text.contains('%') && StrftimeItems::new(text).all(|item| !matches!(item, Item::Error))
}

/// Times end here, in 2096: see `door.rs` for why.
pub(crate) const TS_END_MS: i64 = 4_000_000_000_000;
pub(crate) const TIME_EXPECTED: &str =
    "a time from 1970 to 2096, as RFC 3339 text or epoch milliseconds";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_moment_in_every_format() {
        let moment = Some(1_522_540_831_000);
        for (format, text, offset) in [
            ("rfc3339", "2018-04-01T02:00:31+02:00", 0),
            ("epoch_s", "1522540831", 0),
            ("epoch_s", "1522540831.0", 0),
            ("epoch_ms", "1522540831000", 0),
            ("%Y%m%d%H%M%S", "20180401020031", 7_200_000),
            ("%Y-%m-%d %H:%M:%S%.f", "2018-04-01 00:00:31.000", 0),
            ("%d/%m/%Y %H:%M:%S %z", "01/04/2018 02:00:31 +0200", 99),
        ] {
            let format = TimeFormat::parse(format).unwrap();
            assert_eq!(format.read(text, offset), moment, "{format:?}");
        }
        assert_eq!(
            TimeFormat::parse("%Y-%m-%d").unwrap().read("2018-04-01", 0),
            Some(1_522_540_800_000)
        );
    }

    #[test]
    fn zones_are_fixed_offsets() {
        assert_eq!(offset_ms("UTC").unwrap(), 0);
        assert_eq!(offset_ms("-03:30").unwrap(), -12_600_000);
        assert!(
            offset_ms("Europe/Paris")
                .unwrap_err()
                .to_string()
                .contains("fixed offset")
        );
    }

    #[test]
    fn nonsense_is_no_time() {
        assert!(TimeFormat::parse("epoch").is_err());
        assert!(TimeFormat::parse("%Q").is_err());
        for format in ["rfc3339", "epoch_s", "epoch_ms", "%Y"] {
            let format = TimeFormat::parse(format).unwrap();
            for text in [
                "",
                "nan",
                "inf",
                "9e99",
                "99999999999999999999",
                "2018-13-01",
            ] {
                assert_eq!(format.read(text, 0), None, "{format:?} {text}");
            }
        }
        assert_eq!(date_day("1970-01-02"), Some(1));
        assert_eq!(date_day("02.01.1970"), None);
    }
}
