//! The demo as people run it, except for where it keeps its results.

#[test]
fn every_story_of_the_demo_holds() {
    let folder = tempfile::tempdir().expect("a folder for the demo's state");
    unstuck_tests::demo::run(folder.path().to_owned());
}
