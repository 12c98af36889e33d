//! Many rules that look for literals, as detections do, put in front of the routes of a program that is measured without them.

/// Services whose names the events carry; see `events`.
const SERVICES: [&str; 10] = [
    "payments-api",
    "checkout-worker",
    "search-edge",
    "auth-batch",
    "cart-core",
    "inventory-sync-api",
    "recommendations-worker",
    "notify-edge",
    "ledger-batch",
    "geo-core",
];

/// What nobody says, so that a rule that looks for it costs no more than looking.
const UNHEARD: [&str; 4] = ["exploit attempt", "segment fault", "login of root", "license key"];

/// The program with that many rules more. Most ask for a service and a text of their own, one in ten for a text or a host alone.
/// The first three find one event in a hundred, the others none: how many events are written to does not grow with the rules.
pub fn many_rules(program: &str, count: usize) -> String {
    // The routes come last: what the rules write has to reach the tables.
    let (head, routes) =
        program.split_at(program.find("rule copy_errors").unwrap_or(program.len()));
    let mut text = String::with_capacity(program.len() + count * 160);
    text.push_str(head);
    for number in 0..count {
        let service = SERVICES[number % SERVICES.len()];
        let unheard = UNHEARD[number % UNHEARD.len()];
        let condition = match number {
            0..3 => format!(".message contains \"job reconcile-{number} finished\""),
            _ if number % 20 == 9 => format!(".message contains \"{unheard} {number} refused\""),
            _ if number % 20 == 19 => format!(".host == \"ip-10-9-7-{number}\""),
            _ => {
                format!(
                    ".service == \"{service}\" and .message contains \"{unheard} {number} refused\""
                )
            }
        };
        text.push_str(&format!(
            "rule literal_{number} on app when {condition} {{\n  .detection = \"literal {number}\"\n}}\n\n"
        ));
    }
    text.push_str(routes);
    text
}
