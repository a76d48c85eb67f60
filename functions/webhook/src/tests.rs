//! What is delivered at the door, over a real driver and the in-memory store.

mod connections;
mod deliveries;
mod random;
mod world;

#[test]
fn its_environment_is_what_it_reads_and_nothing_else() {
    let environment = testkit::Template::home().environment("WebhookFunction");
    let settings = runtime::Settings::read(environment.lookup()).unwrap();
    crate::wire(&settings, &runtime::Clients::from_config(testkit::Stub::unused().config())).unwrap();
    environment.assert_read();
}
