//! Small random problems: what the relaxation and its packings say, against all ways to pack.

use super::bitset::Bitset;
use super::columns::Effort;
use super::pricing::Pricer;
use super::problem::{Item, Kind, Problem, Work};
use super::{bound, columns, dive, exact, greedy, improve, many, prove, resources, solve};
use proptest::prelude::*;

fn item() -> impl Strategy<Value = Item> {
    (1..40_i64, 1..40_i64, 1..4_u32).prop_map(|(cpu, memory, count)| Item {
        size: vec![cpu * 5, memory * 7, 1],
        count,
        ..Item::default()
    })
}

fn kind() -> impl Strategy<Value = (i64, i64, i64, u64, u8)> {
    (20..500_i64, 20..500_i64, 1..8_i64, 50..1000_u64, any::<u8>())
}

/// Up to four items and five kinds; the first two items may share a limit of one on a node.
fn problem() -> impl Strategy<Value = Problem> {
    (
        prop::collection::vec(item(), 1..5),
        prop::collection::vec(kind(), 1..6),
        prop::option::of(1..3_u32),
    )
        .prop_map(|(mut items, kinds, limit)| {
            if limit.is_some() {
                items.iter_mut().take(2).for_each(|item| item.groups.push(0));
            }
            // A kind that holds anything makes every problem solvable.
            let general = (1000, 1000, 100, 2000, u8::MAX);
            let kind = |(cpu, memory, pods, price, mask): (i64, i64, i64, u64, u8)| {
                let mut allowed = Bitset::new(items.len());
                (0..items.len())
                    .filter(|item| mask >> item & 1 == 1)
                    .for_each(|item| allowed.insert(item));
                Kind { capacity: vec![cpu, memory, pods], price, allowed }
            };
            let mut kinds = kinds.into_iter().chain([general]).map(kind).collect::<Vec<_>>();
            kinds.sort_by_key(|kind| kind.price);
            Problem {
                dimensions: 3,
                items,
                kinds,
                group_limits: limit.into_iter().collect(),
                conflicting: false,
            }
        })
}

fn counts(problem: &Problem) -> Vec<u32> {
    problem.items.iter().map(|item| item.count).collect()
}

fn best(problem: &Problem) -> u64 {
    problem.price(&exact::solve_exactly(problem, 1_000_000).unwrap())
}

fn is_packing(problem: &Problem, nodes: &[super::problem::Packed]) -> bool {
    let mut held = vec![0; problem.items.len()];
    nodes.iter().flat_map(|node| &node.pattern).for_each(|(item, count)| held[*item] += count);
    held == counts(problem) && nodes.iter().all(|node| problem.holds(node.kind, &node.pattern))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_proved_bound_is_below_the_best_packing(problem in problem()) {
        let bound = prove(&problem, &[], 1_000_000);
        let best = best(&problem);
        prop_assert!(bound <= best, "bound {bound} best {best}");
        prop_assert!(bound * 4 >= best, "bound {bound} is far below {best}");
    }

    #[test]
    fn any_duals_prove_a_valid_bound(problem in problem(), duals in prop::collection::vec(0.0..3000.0_f64, 5), nodes in 0..50_usize) {
        let bound = bound::prove(&problem, &duals[..problem.items.len()], &[], nodes);
        let best = best(&problem);
        prop_assert!(bound <= best, "bound {bound} best {best}");
    }

    #[test]
    fn free_room_lowers_the_bound_by_no_less_than_it_can_hold(problem in problem(), room in (0..300_i64, 0..300_i64)) {
        // With a node that is there for nothing, the best price is at most that of the best packing of what it cannot hold.
        let room = vec![room.0, room.1, 3];
        let bound = prove(&problem, &[(room.clone(), Bitset::full(problem.items.len()))], 1_000_000);
        let mut with_free = problem.clone();
        let free = Kind { capacity: room, price: 0, allowed: Bitset::full(problem.items.len()) };
        let mut least = best(&problem);
        for part in 0..(1_usize << problem.items.len()) {
            // Whole items only: a few of the ways to use the room, each of which the bound must allow.
            let taken = (0..problem.items.len()).filter(|item| part >> item & 1 == 1).map(|item| (item, problem.items[item].count)).collect();
            let alone = Problem { kinds: vec![free.clone()], ..problem.clone() };
            if alone.holds(0, &taken) {
                with_free.items = problem.items.clone();
                taken.iter().for_each(|(item, _)| with_free.items[*item].count = 0);
                least = least.min(best(&with_free));
            }
        }
        prop_assert!(bound <= least, "bound {bound} least {least}");
    }

    #[test]
    fn every_way_of_packing_places_all_pods_where_they_fit(problem in problem()) {
        let counts = counts(&problem);
        let values = resources::solve(&problem).values;
        let mut work = Work::new(200_000);
        let mut pricer = Pricer::new(&problem);
        let effort = Effort { rounds: 40, nodes: 50, deepest: 500, gap: 1e-4 };
        let relaxation = columns::relax(&mut pricer, &counts, &[], Some(&values), effort, &mut work);
        let mut dived = dive::dive(&mut pricer, &counts, &relaxation, &mut Work::new(100_000));
        prop_assert!(is_packing(&problem, &dived));
        prop_assert!(is_packing(&problem, &greedy::pack(&mut pricer, &counts, &relaxation.duals, 50, &mut Work::new(100_000))));
        let before = problem.price(&dived);
        improve::improve(&problem, &mut dived, &relaxation.duals, 0, &mut Work::new(100_000));
        prop_assert!(is_packing(&problem, &dived));
        prop_assert!(problem.price(&dived) <= before && problem.price(&dived) >= best(&problem));
        let mut left = counts.clone();
        let nodes = many::fill_most(&problem, &mut left, 0, &mut Work::new(100_000));
        prop_assert!(nodes.iter().all(|node| problem.holds(node.kind, &node.pattern)));
    }
}

#[test]
fn four_hundred_shapes_are_packed_close_to_their_bound() {
    let shape = |number: i64| Item {
        size: vec![100 + number * 37 % 900, 100 + number * 61 % 1900, 1],
        count: 1 + number as u32 % 3,
        ..Item::default()
    };
    let items = (0..400).map(shape).collect::<Vec<_>>();
    let kind = |(cpu, memory, price)| Kind {
        capacity: vec![cpu, memory, 100],
        price,
        allowed: Bitset::full(400),
    };
    let kinds =
        [(8_000, 16_000, 340), (8_000, 32_000, 384), (16_000, 32_000, 680), (8_000, 64_000, 504)];
    let problem = Problem {
        dimensions: 3,
        items,
        kinds: kinds.map(kind).to_vec(),
        group_limits: vec![],
        conflicting: false,
    };
    let solution = solve(&problem, 3_000_000);
    let price = problem.price(&solution.nodes);
    assert!(is_packing(&problem, &solution.nodes));
    assert!(
        solution.bound <= price && price * 100 <= solution.bound * 104,
        "{price} over {}",
        solution.bound
    );
}

/// Four sorts of five pods each on five kinds: too many ways to part them for an exact answer, and few enough to find it here.
fn drawn(sequence: &mut improve::Sequence) -> Problem {
    let mut amount = |least: usize, most: usize| (least + sequence.below(most - least)) as i64;
    let item =
        |_| Item { size: vec![amount(20, 200), amount(20, 280), 1], count: 5, ..Item::default() };
    let items = (0..4).map(item).collect::<Vec<_>>();
    let kind = |_| {
        let (cpu, memory) = (amount(200, 900), amount(280, 1200));
        let price = (cpu * 2 + memory + amount(0, 200)) as u64;
        Kind { capacity: vec![cpu, memory, amount(4, 12)], price, allowed: Bitset::full(4) }
    };
    let mut kinds = (0..5).map(kind).collect::<Vec<_>>();
    kinds.sort_by_key(|kind| kind.price);
    Problem { dimensions: 3, items, kinds, ..Problem::default() }
}

#[test]
fn nineteen_of_twenty_small_problems_are_packed_at_the_least_price() {
    let mut sequence = improve::Sequence::new(7);
    let mut least = 0;
    for _ in 0..100 {
        let problem = drawn(&mut sequence);
        let (solution, best) = (solve(&problem, 100_000_000), best(&problem));
        let price = problem.price(&solution.nodes);
        assert!(is_packing(&problem, &solution.nodes));
        assert!(solution.bound <= best && best <= price, "{} {best} {price}", solution.bound);
        least += usize::from(price == best);
    }
    assert!(least >= 95, "{least}");
}
