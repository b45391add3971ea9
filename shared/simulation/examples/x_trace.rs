use joiner_simulation::day::{self, Size};
fn main() {
    let a: Vec<u32> = std::env::args().skip(1).map(|t| t.parse().unwrap()).collect();
    let (nodes, hours, seed) = (a[0], a[1], u64::from(a[2]));
    let catalog = catalog::Catalog::embedded().unwrap();
    let scenario = day::scenario(&catalog, Size { nodes, hours, seed });
    let m = day::joiner(&scenario, &|_| {});
    let ideal = day::ideal(&scenario, true, &|_| {});
    for (b, u) in ideal.bounded.iter().zip(&ideal.unbounded) {
        let w: Vec<f64> = m.samples.iter().filter(|s| (s.at_s - b.at_s).abs() <= 300).map(|s| s.cost.usd()).collect();
        let n: Vec<u64> = m.samples.iter().filter(|s| (s.at_s - b.at_s).abs() <= 300).map(|s| s.nodes.values().sum()).collect();
        let avg = w.iter().sum::<f64>() / w.len().max(1) as f64;
        println!("{:>6} joiner {:.2} min {:.2} max {:.2} nodes {:?}-{:?} bounded {:.2} ({:+.1}%) free {:.2} ({:+.1}%)", b.at_s, avg,
          w.iter().cloned().fold(f64::MAX, f64::min), w.iter().cloned().fold(0.0, f64::max), n.iter().min(), n.iter().max(),
          b.cost.usd(), (avg / b.cost.usd() - 1.0) * 100.0, u.cost.usd(), (avg / u.cost.usd() - 1.0) * 100.0);
    }
    println!("moved {} consolidated {} ideal moved {}", m.pods_moved, m.nodes_consolidated, ideal.moved);
}
