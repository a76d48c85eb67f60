//! Executions as the engine makes them, told to receivers that remember what they got.

mod crashes;
mod rules;
mod sending;
mod world;

use runtime::{Clients, Settings};
use testkit::{Stub, Template};

#[test]
fn its_environment_is_what_it_reads_and_nothing_else() {
    let environment = Template::home().environment("NotifierFunction");
    let settings = Settings::read(environment.lookup()).unwrap();
    crate::wire(&settings, &Clients::from_config(Stub::unused().config())).unwrap();
    environment.assert_read();
}
