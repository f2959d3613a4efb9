//! The demo as people run it, but with its results in another folder.

#[test]
fn every_story_of_the_demo_holds() {
    let folder = tempfile::tempdir().expect("a folder for the demo's state");
    unstuck_tests::demo::run(folder.path().to_owned());
}
