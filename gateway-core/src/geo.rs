//! Places on Earth and the round trip between them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A place on Earth in degrees; latitude -90 to 90, longitude -180 to 180.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Coordinates {
    /// Degrees north of the equator.
    pub latitude: f64,
    /// Degrees east of Greenwich.
    pub longitude: f64,
}

/// The edge location that a request came in at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Location {
    /// Its code as the platform tells it, such as `FRA`; empty when unknown.
    pub code: String,
    /// Where it is. `None` lets the core look `code` up among the configured regions' names; when that fails too,
    /// all clusters count as equally far.
    pub coordinates: Option<Coordinates>,
}

impl Location {
    /// A place as it is written: `LATITUDE,LONGITUDE` in degrees, else a code.
    pub fn parse(place: &str) -> Self {
        let degrees = |text: &str, most: f64| {
            let degrees: f64 = text.trim().parse().ok()?;
            (-most..=most).contains(&degrees).then_some(degrees)
        };
        let coordinates = place.split_once(',').and_then(|(latitude, longitude)| {
            Some(Coordinates {
                latitude: degrees(latitude, 90.0)?,
                longitude: degrees(longitude, 180.0)?,
            })
        });
        let code = if coordinates.is_some() { "" } else { place.trim() };
        Self {
            code: code.chars().take(CODE_CHARS).collect(),
            coordinates,
        }
    }
}

/// The expected round trip between two places: the great circle there and back at the speed of light in fibre,
/// times how much longer real cables run, plus what hops at both ends add.
pub fn round_trip(from: Coordinates, to: Coordinates) -> Duration {
    Duration::from_secs_f64(distance_km(from, to) * 2.0 / FIBRE_KM_PER_S * PATH_STRETCH + LAST_HOPS_S)
}

/// Great-circle distance by the haversine formula on a sphere of the Earth's mean radius.
fn distance_km(a: Coordinates, b: Coordinates) -> f64 {
    let (phi_a, phi_b) = (a.latitude.to_radians(), b.latitude.to_radians());
    let half_phi = (phi_b - phi_a) / 2.0;
    let half_lambda = (b.longitude - a.longitude).to_radians() / 2.0;
    let chord = half_phi.sin().powi(2) + phi_a.cos() * phi_b.cos() * half_lambda.sin().powi(2);
    2.0 * EARTH_RADIUS_KM * chord.sqrt().min(1.0).asin()
}

/// Names of regions have at most so many.
const CODE_CHARS: usize = 64;
/// IUGG mean radius.
const EARTH_RADIUS_KM: f64 = 6_371.0;
/// Light in glass of refractive index 1.468.
const FIBRE_KM_PER_S: f64 = 204_218.0;
/// Fitted together with [`LAST_HOPS_S`]; docs/decisions/0002-round-trips.md has the fit.
const PATH_STRETCH: f64 = 1.6;
/// See [`PATH_STRETCH`].
const LAST_HOPS_S: f64 = 0.003;

#[cfg(test)]
mod tests {
    use super::*;

    const FRANKFURT: Coordinates = Coordinates {
        latitude: 50.1,
        longitude: 8.7,
    };
    const WASHINGTON: Coordinates = Coordinates {
        latitude: 38.9,
        longitude: -77.0,
    };

    #[test]
    fn the_atlantic_takes_about_ninety_milliseconds() {
        let across = round_trip(FRANKFURT, WASHINGTON).as_secs_f64() * 1_000.0;
        assert!((85.0..125.0).contains(&across), "{across} ms");
    }

    #[test]
    fn places_are_written_as_degrees_or_codes() {
        let coordinates = |place| {
            Location::parse(place)
                .coordinates
                .map(|there| (there.latitude, there.longitude))
        };
        assert_eq!(coordinates("50.1, -8.7"), Some((50.1, -8.7)));
        for code in ["FRA", "", "91,0", "0,181", "NaN,1", "1,2,3", "inf,0"] {
            assert_eq!((coordinates(code), Location::parse(code).code.as_str()), (None, code));
        }
        assert_eq!(Location::parse(&"x".repeat(1_000)).code.len(), 64);
    }

    #[test]
    fn antipodes_and_equal_places_are_finite() {
        let antipode = Coordinates {
            latitude: -50.1,
            longitude: -171.3,
        };
        assert!(round_trip(FRANKFURT, antipode) < Duration::from_millis(500));
        assert_eq!(round_trip(FRANKFURT, FRANKFURT), Duration::from_secs_f64(LAST_HOPS_S));
    }
}
