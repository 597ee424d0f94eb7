//! Time by station, from the metrics of `serve`.

use std::collections::BTreeMap;

/// Seconds and passages by station, as counted since the start of the process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stations(BTreeMap<String, (f64, f64)>);

/// In the order in which a request passes them.
pub(crate) const ORDER: [&str; 7] =
    ["open", "admit", "verify", "countersign", "issue", "check", "answer"];

impl Stations {
    /// Reads Prometheus text.
    pub(crate) fn read(text: &str) -> Self {
        let mut stations = BTreeMap::<String, (f64, f64)>::new();
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("countersign_station_seconds_") else { continue };
            let Some((what, rest)) = rest.split_once("{station=\"") else { continue };
            let Some((name, value)) = rest.split_once("\"} ") else { continue };
            let value: f64 = value.trim().parse().expect("a number");
            let station = stations.entry(name.to_owned()).or_default();
            match what {
                "sum" => station.0 = value,
                "count" => station.1 = value,
                _ => {}
            }
        }
        Self(stations)
    }

    /// Adds what was counted between two readings.
    pub(crate) fn add(&mut self, before: &Self, after: &Self) {
        for (name, after) in &after.0 {
            let before = before.0.get(name).copied().unwrap_or_default();
            let sum = self.0.entry(name.clone()).or_default();
            sum.0 += after.0 - before.0;
            sum.1 += after.1 - before.1;
        }
    }

    /// Microseconds of one passage.
    pub(crate) fn microseconds(&self, name: &str) -> f64 {
        self.0
            .get(name)
            .filter(|(_, count)| *count > 0.0)
            .map_or(0.0, |(seconds, count)| seconds / count * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_between_two_readings_is_counted_per_passage() {
        let text = |seconds: f64, passages: u32| {
            format!(
                "# TYPE countersign_station_seconds histogram\n\
                 countersign_station_seconds_sum{{station=\"open\"}} {seconds}\n\
                 countersign_station_seconds_count{{station=\"open\"}} {passages}\n\
                 countersign_station_seconds_bucket{{station=\"open\",le=\"0.1\"}} 3\n"
            )
        };
        let mut between = Stations::default();
        between.add(&Stations::read(&text(1.0, 10)), &Stations::read(&text(1.5, 12)));
        assert_eq!(between.microseconds("open"), 250_000.0);
        assert_eq!(between.microseconds("issue"), 0.0);
    }
}
