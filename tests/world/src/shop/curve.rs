//! How the load on a service moves over time. Knows no clock: seconds come in.

use std::f64::consts::TAU;

/// Offered requests per second as a function of virtual seconds since the curve was set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Curve {
    /// The same load for ever, in requests per second.
    Constant(f64),
    /// One load, then from `at` seconds on another.
    Step {
        /// Requests per second until `at`.
        before: f64,
        /// Requests per second from `at` on.
        after: f64,
        /// When the load changes, in virtual seconds.
        at: f64,
    },
    /// A straight line that stays at its end.
    Ramp {
        /// Requests per second at the start.
        from: f64,
        /// Requests per second at the end and ever after.
        to: f64,
        /// How long the way takes, in virtual seconds.
        seconds: f64,
    },
    /// Day and night: a sine that starts at its mean and rises.
    Wave {
        /// Requests per second in the middle.
        mean: f64,
        /// How far it goes above and below the middle, in requests per second.
        amplitude: f64,
        /// Length of a full turn in virtual seconds.
        period: f64,
    },
}

impl Curve {
    /// Requests per second at `seconds` virtual seconds after the curve was set; never negative, never NaN.
    pub fn at(&self, seconds: f64) -> f64 {
        let load = match *self {
            Self::Constant(load) => load,
            Self::Step { before, after, at } => {
                if seconds < at {
                    before
                } else {
                    after
                }
            }
            Self::Ramp { from, to, seconds: length } => {
                let way = if length > 0.0 { (seconds / length).clamp(0.0, 1.0) } else { 1.0 };
                from + (to - from) * way
            }
            Self::Wave { mean, amplitude, period } => mean + amplitude * (TAU * seconds / period).sin(),
        };
        load.max(0.0) // also turns the NaN of a period of zero into no load
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_changes_at_its_time() {
        let step = Curve::Step { before: 10.0, after: 90.0, at: 60.0 };
        assert_eq!((step.at(59.9), step.at(60.0)), (10.0, 90.0));
    }

    #[test]
    fn a_ramp_stays_at_its_end() {
        let ramp = Curve::Ramp { from: 10.0, to: 110.0, seconds: 100.0 };
        assert_eq!((ramp.at(0.0), ramp.at(50.0), ramp.at(1e6)), (10.0, 60.0, 110.0));
        assert_eq!(Curve::Ramp { from: 1.0, to: 2.0, seconds: 0.0 }.at(0.0), 2.0);
    }

    #[test]
    fn a_wave_turns_and_is_cut_off_at_zero() {
        let wave = Curve::Wave { mean: 10.0, amplitude: 30.0, period: 100.0 };
        assert_eq!(wave.at(25.0), 40.0);
        assert_eq!(wave.at(75.0), 0.0);
        assert_eq!(Curve::Wave { mean: 1.0, amplitude: 1.0, period: 0.0 }.at(0.0), 0.0);
    }
}
