use super::*;
use crate::bound::ResourceBound;
use crate::decider::Joiner;
use crate::run::run;
use crate::testing::scenario;

fn summary(seed: u64) -> Summary {
    let mut scenario = scenario("a<b,4,1000,1024,0,600,\nweb,3,500,512,60,,\n", 3600);
    scenario.seed = seed;
    run(&scenario, Joiner::default(), &ResourceBound, &|_, _| {}).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let (first, again) = (summary(3), summary(3));
    assert_eq!(serde_json::to_string(&first).unwrap(), serde_json::to_string(&again).unwrap());
    assert_eq!(render(&first), render(&again));
}

#[test]
fn the_page_needs_nothing_from_outside_and_closes_what_it_opens() {
    let page = render(&summary(1));
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    for element in ["figure", "svg", "table", "section", "script", "main", "ul", "div"] {
        let opened = page.matches(&format!("<{element}>")).count()
            + page.matches(&format!("<{element} ")).count();
        assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf"));
}

#[test]
fn text_is_escaped() {
    assert_eq!(escape("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
}
