//! How heavy the pages are when it matters: five thousand alerts and a thousand incidents. Bytes are tested, times are
//! measured and said.

use std::time::Instant;

use super::house::{House, Setting};

/// What a first look may weigh: the page, the style, the script and the icon, as they are sent.
const FIRST_PAINT: usize = 100_000;

#[tokio::test]
async fn a_first_look_weighs_less_than_a_hundred_kilobytes_in_a_storm() {
    let house = House::open(Setting { crowd: 5_000, ..Setting::default() }).await;
    let (firing, active) = house
        .core
        .ask(|engine| {
            let firing = engine.alerts().filter(|(_, _, alert)| alert.state.is_firing()).count();
            (firing, engine.incidents().filter(|it| it.state.is_active()).count())
        })
        .await
        .unwrap();
    assert!(firing >= 5_000 && active >= 1_000, "{firing} alerts, {active} incidents");
    let mut assets = 0;
    for path in ["/style.css", "/app.js", "/icon.svg"] {
        assets += house.get(path).await.1.len();
    }
    let id = house.incident_of("checkout").await;
    let paths =
        ["/", "/incidents?state=active", "/alerts", "/rules", "/silences", &format!("/incidents/{id}")];
    for path in paths {
        let mut best = f64::MAX;
        let mut size = 0;
        for _ in 0..5 {
            let began = Instant::now();
            size = house.get(path).await.1.len();
            best = best.min(began.elapsed().as_secs_f64() * 1e3);
        }
        let kilobytes = |bytes: usize| f64::from(u32::try_from(bytes).unwrap()) / 1e3;
        let (all, shared) = (kilobytes(size + assets), kilobytes(assets));
        println!("{path:28} {best:6.1} ms {all:6.1} KB, {shared:.1} KB of it shared");
        assert!(size + assets < FIRST_PAINT, "{path} weighs {size} bytes beside {assets}");
    }
}
