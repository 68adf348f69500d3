//! Wall clocks that are set forward and back, where the cells are and in the process itself.

use std::time::Duration;

use http::Response;
use tidegate_core::Body;

use crate::budgets::{ask, limited, post, taking};
use crate::header;
use crate::world::World;

const HOUR: Duration = Duration::from_secs(3_600);
/// After that long a location asks the cell again.
const NEWS: Duration = Duration::from_secs(2);

fn told(response: &Response<Body>) -> (u16, &str) {
    (response.status().as_u16(), header(response, "retry-after-ms"))
}

#[test]
fn a_cell_whose_clock_has_been_an_hour_ahead_fills_on_as_it_tells() {
    let mut world = World::new(&limited("tokens_per_minute = 1_000"), taking(600, 0, 100));
    assert_eq!(post(&mut world, &ask(600, 100)).status(), 200);
    world.cells_clock().put_forward(HOUR);
    world.pass(NEWS);
    assert_eq!(
        post(&mut world, &ask(600, 100)).status(),
        200,
        "as after an hour's pause"
    );
    world.cells_clock().put_back(HOUR);
    world.pass(NEWS);
    let refused = post(&mut world, &ask(600, 100));
    let (status, wait) = told(&refused);
    let wait = wait.parse().unwrap();
    assert!(status == 429 && (20_000..=24_000).contains(&wait), "{refused:?}");
    world.pass(Duration::from_millis(wait));
    assert_eq!(post(&mut world, &ask(600, 100)).status(), 200);
    for _ in 0..5 {
        world.cells_clock().put_forward(HOUR);
        world.pass(NEWS);
        let again = post(&mut world, &ask(600, 100));
        assert_eq!(again.status(), 429, "an hour that was there once");
        world.cells_clock().put_back(HOUR);
        world.pass(NEWS);
        assert_eq!(post(&mut world, &ask(600, 100)).status(), 429);
    }
}

#[test]
fn a_process_whose_clock_is_set_back_asks_and_lets_go_as_before() {
    let mut world = World::new(&limited("tokens_per_minute = 1_000"), taking(600, 0, 100));
    for _ in 0..3 {
        assert_eq!(post(&mut world, &ask(600, 100)).status(), 200);
        assert_eq!(told(&post(&mut world, &ask(600, 100))), (429, "24000"));
        world.platform.wall_clock().put_back(HOUR);
        world.pass(Duration::from_secs(60));
    }
}
