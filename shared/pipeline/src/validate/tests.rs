use super::*;
use crate::testing::example;

#[test]
fn the_example_is_valid_and_round_trips() {
    let declaration = example();
    let pipeline = Pipeline::try_from(declaration.clone()).unwrap();
    assert_eq!(pipeline.declaration(), &declaration);
    assert_eq!(pipeline.stages().len(), 2);
}
