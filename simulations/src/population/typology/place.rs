//! Points of the globe: where accounts are at home, and where their telephones are.
//!
//! A sphere is enough here; what is drawn is in `party` and `fraud`.

use rand::{Rng, RngExt};

/// A point, in degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Coordinates {
    /// Northward.
    pub lat: f64,
    /// Eastward.
    pub lon: f64,
}

const EARTH_RADIUS_KM: f64 = 6_371.0;

impl Coordinates {
    /// The great-circle distance to another point (haversine).
    pub fn distance_km(self, other: Self) -> f64 {
        let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
        let along = self.lat.to_radians().cos() * other.lat.to_radians().cos();
        let chord = half(self.lat, other.lat) + along * half(self.lon, other.lon);
        2.0 * EARTH_RADIUS_KM * chord.sqrt().min(1.0).asin()
    }

    /// The point at this distance in any direction, rounded to ten thousandths of a degree.
    pub(super) fn away(self, chance: &mut impl Rng, distance_km: f64) -> Self {
        let bearing = chance.random_range(0.0..std::f64::consts::TAU);
        let angle = distance_km / EARTH_RADIUS_KM;
        let lat = self.lat.to_radians();
        let sine = lat.sin() * angle.cos() + lat.cos() * angle.sin() * bearing.cos();
        let east = bearing.sin() * angle.sin() * lat.cos();
        let lon = self.lon.to_radians() + east.atan2(angle.cos() - lat.sin() * sine);
        let rounded = |degrees: f64| (degrees * 10_000.0).round() / 10_000.0;
        Self {
            lat: rounded(sine.clamp(-1.0, 1.0).asin().to_degrees()),
            lon: rounded((lon.to_degrees() + 540.0).rem_euclid(360.0) - 180.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::stream::Stream;

    // Python, with the radius above: 2*R*asin(sqrt(sin(dp/2)**2 + cos(p)*cos(q)*sin(dl/2)**2)).
    #[test]
    fn paris_lies_from_berlin_where_maps_say() {
        let paris = Coordinates {
            lat: 48.8566,
            lon: 2.3522,
        };
        let berlin = Coordinates {
            lat: 52.52,
            lon: 13.405,
        };
        assert!((paris.distance_km(berlin) - 877.463).abs() < 0.001);
        assert!((berlin.distance_km(paris) - 877.463).abs() < 0.001);
    }

    #[test]
    fn a_point_away_lies_at_its_distance() {
        let mut chance = Stream::TypologyBank(0).open(1);
        let home = Coordinates {
            lat: 47.5,
            lon: 179.9,
        };
        for distance in [0.5, 20.0, 900.0, 5_000.0] {
            let away = home.away(&mut chance, distance);
            let found = home.distance_km(away);
            assert!((found - distance).abs() < 0.02, "found {found}");
            assert!((-180.0..180.0).contains(&away.lon));
        }
    }
}
