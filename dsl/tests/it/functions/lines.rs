//! Lines as products write them: what their parsers make of each.

use expect_test::{Expect, expect};

use super::{A, call};

/// The record without what is absent, a field a line.
#[track_caller]
pub(super) fn check(name: &str, line: &'static str, expected: &Expect) {
    let result = call(name, &[A::Text(line)]);
    let shown = match serde_json::from_str(&result) {
        Ok(serde_json::Value::Object(fields)) => {
            let mut out = String::new();
            for (key, value) in fields {
                if !value.is_null() {
                    out.push_str(&format!("{key} = {value}\n"));
                }
            }
            out
        }
        _ => result,
    };
    expected.assert_eq(&shown);
}

/// Lines that a parser must refuse.
#[track_caller]
pub(super) fn refuse(name: &str, lines: &[&'static str]) {
    for line in lines {
        let result = call(name, &[A::Text(line)]);
        assert!(result.starts_with('['), "{name}: {line}\n{result}");
    }
}

#[test]
fn syslog() {
    check(
        "parse_syslog",
        "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\" eventSource=\"App]lication\"] \u{feff}An application event",
        &expect![[r#"
            app = "evntslog"
            data = "[exampleSDID@32473 iut=\"3\" eventSource=\"App]lication\"]"
            facility = "local4"
            host = "mymachine.example.com"
            message = "An application event"
            msgid = "ID47"
            severity = "notice"
            timestamp = "2003-10-11T22:14:15.003Z"
        "#]],
    );
    check(
        "parse_syslog",
        "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
        &expect![[r#"
            app = "su"
            facility = "auth"
            host = "mymachine"
            message = "'su root' failed for lonvick on /dev/pts/8"
            severity = "critical"
            timestamp = "2025-10-11T22:14:15Z"
        "#]],
    );
    check(
        "parse_syslog",
        "<189>2026-05-01T10:00:00+02:00 fw01 %ASA-6-302013: Built outbound TCP connection 123",
        &expect![[r#"
            app = "%ASA-6-302013"
            facility = "local7"
            host = "fw01"
            message = "Built outbound TCP connection 123"
            severity = "notice"
            timestamp = "2026-05-01T08:00:00Z"
        "#]],
    );
    check(
        "parse_syslog",
        "<187>45: *Mar  1 18:46:11.123: %SYS-5-CONFIG_I: Configured from console",
        &expect![[r#"
            app = "%SYS-5-CONFIG_I"
            facility = "local7"
            message = "Configured from console"
            severity = "error"
            timestamp = "2025-03-01T18:46:11.123Z"
        "#]],
    );
    check(
        "parse_syslog",
        "<13>May  1 10:00:00 host app[123]: with pid",
        &expect![[r#"
        app = "app"
        facility = "user"
        host = "host"
        message = "with pid"
        pid = "123"
        severity = "notice"
        timestamp = "2025-05-01T10:00:00Z"
    "#]],
    );
    check(
        "parse_syslog",
        "83 <34>1 2026-05-01T10:00:00Z host app 12 - - framed by its length",
        &expect![[r#"
            app = "app"
            facility = "auth"
            host = "host"
            message = "framed by its length"
            pid = "12"
            severity = "critical"
            timestamp = "2026-05-01T10:00:00Z"
        "#]],
    );
    check(
        "parse_syslog",
        "<30>1 2026-05-01T10:00:00Z host app 12 - no structured data at all",
        &expect![[r#"
            app = "app"
            facility = "daemon"
            host = "host"
            message = "no structured data at all"
            pid = "12"
            severity = "info"
            timestamp = "2026-05-01T10:00:00Z"
        "#]],
    );
    check(
        "parse_syslog",
        "<14>May  1 2026 10:00:00 host app: with a year",
        &expect![[r#"
        app = "app"
        facility = "user"
        host = "host"
        message = "with a year"
        severity = "info"
        timestamp = "2026-05-01T10:00:00Z"
    "#]],
    );
    refuse("parse_syslog", &["hello", "", "<999>May  1 10:00:00 x y: z", "{\"a\":1}"]);
}

#[test]
fn security_devices() {
    check(
        "parse_cef",
        "<134>Feb 14 19:04:54 host CEF:0|Trend Micro|Deep Security Agent|<DSA version>|4000000|Eicar_test_file|6|cn1=1 cn1Label=Host ID dvchost=hostname cn2=205 cn2Label=Quarantine File Size cs6=ContainerImageName | ContainerName filePath=C:\\\\Users\\\\trend\\\\eicar.exe act=Delete result=Deleted msg=Realtime",
        &expect![[r#"
            device_version = "<DSA version>"
            extension = {"act":"Delete","cn1":"1","cn1Label":"Host ID","cn2":"205","cn2Label":"Quarantine File Size","cs6":"ContainerImageName | ContainerName","dvchost":"hostname","filePath":"C:\\Users\\trend\\eicar.exe","msg":"Realtime","result":"Deleted"}
            name = "Eicar_test_file"
            product = "Deep Security Agent"
            severity = "6"
            signature = "4000000"
            vendor = "Trend Micro"
            version = "0"
        "#]],
    );
    check(
        "parse_cef",
        "CEF:1|security|threat\\|manager|1.0|100|worm \\= stopped|10|",
        &expect![[r#"
            device_version = "1.0"
            extension = {}
            name = "worm = stopped"
            product = "threat|manager"
            severity = "10"
            signature = "100"
            vendor = "security"
            version = "1"
        "#]],
    );
    check(
        "parse_cef",
        "CEF:0|a|b|1|2|name|3",
        &expect![[r#"
        device_version = "1"
        extension = {}
        name = "name"
        product = "b"
        severity = "3"
        signature = "2"
        vendor = "a"
        version = "0"
    "#]],
    );
    refuse("parse_cef", &["CEF:", "CEF:0|a|b", "CEF:x|a|b|1|2|name|3|", "nothing"]);
    check(
        "parse_leef",
        "<13>Jan 18 11:07:53 192.168.1.1 LEEF:1.0|QRadar|QRM|1.0|NEW_PORT_DISCOVERD|src=172.5.6.67\tdst=172.50.123.1\tsev=5\tmsg=a = b",
        &expect![[r#"
            attributes = {"dst":"172.50.123.1","msg":"a = b","sev":"5","src":"172.5.6.67"}
            device_version = "1.0"
            event_id = "NEW_PORT_DISCOVERD"
            product = "QRM"
            vendor = "QRadar"
            version = "1.0"
        "#]],
    );
    check(
        "parse_leef",
        "LEEF:2.0|Lancope|StealthWatch|1.0|41|x5E|src=10.0.1.8^dst=10.0.0.5^sev=5",
        &expect![[r#"
            attributes = {"dst":"10.0.0.5","sev":"5","src":"10.0.1.8"}
            device_version = "1.0"
            event_id = "41"
            product = "StealthWatch"
            vendor = "Lancope"
            version = "2.0"
        "#]],
    );
    refuse("parse_leef", &["LEEF:", "LEEF:1.0|a", "x"]);
}

#[test]
fn containers() {
    check(
        "parse_cri",
        "2016-10-06T00:17:09.669794202Z stdout P log content 1",
        &expect![[r#"
        message = "log content 1"
        partial = true
        stream = "stdout"
        timestamp = "2016-10-06T00:17:09.669794202Z"
    "#]],
    );
    check(
        "parse_cri",
        "2026-05-01T10:00:00.5+02:00 stderr F ",
        &expect![[r#"
        message = ""
        partial = false
        stream = "stderr"
        timestamp = "2026-05-01T08:00:00.500Z"
    "#]],
    );
    refuse("parse_cri", &["2026-05-01T10:00:00Z stdlog F x", "stdout F x", ""]);
    check(
        "parse_docker_json",
        "{\"log\":\"level=info \\\"hi\\\"\\r\\n\",\"stream\":\"stdout\",\"attrs\":{\"tag\":\"web\"},\"time\":\"2026-05-01T10:00:00.123456789Z\"}",
        &expect![[r#"
            attrs = {"tag":"web"}
            message = "level=info \"hi\""
            partial = false
            stream = "stdout"
            timestamp = "2026-05-01T10:00:00.123456789Z"
        "#]],
    );
    refuse("parse_docker_json", &["{\"stream\":\"stdout\"}", "[]", "{", ""]);
    check(
        "parse_klog",
        "I0115 10:11:12.123456   19394 server.go:79] \"Started\" pod=\"kube-system/x\" err=<nil>",
        &expect![[r#"
            file = "server.go"
            line = 79
            message = "\"Started\" pod=\"kube-system/x\" err=<nil>"
            severity = "info"
            thread = 19394
            timestamp = "2025-01-15T10:11:12.123456Z"
        "#]],
    );
    check(
        "parse_glog",
        "F20210131 15:48:01.635989 21964 main.cc:100] Check failed: x",
        &expect![[r#"
            file = "main.cc"
            line = 100
            message = "Check failed: x"
            severity = "fatal"
            thread = 21964
            timestamp = "2021-01-31T15:48:01.635989Z"
        "#]],
    );
    refuse(
        "parse_klog",
        &["I0115", "X0115 10:11:12.1 1 a.go:1] x", "I0115 10:11:12.123456 x a.go:1] y", "Info"],
    );
    check(
        "parse_gelf",
        "{\"version\":\"1.1\",\"host\":\"example.org\",\"short_message\":\"A short message\",\"full_message\":\"Backtrace here\\n\\nmore\",\"timestamp\":1385053862.3072,\"level\":1,\"_user_id\":9001,\"_some_info\":\"foo\"}",
        &expect![[r#"
            fields = {"some_info":"foo","user_id":9001}
            full_message = "Backtrace here\n\nmore"
            host = "example.org"
            message = "A short message"
            severity = "fatal"
            timestamp = "2013-11-21T17:11:02.307199955Z"
        "#]],
    );
    refuse("parse_gelf", &["{\"host\":\"a\"}", "x"]);
    check(
        "parse_journald",
        "{\"__CURSOR\":\"s=1\",\"__REALTIME_TIMESTAMP\":\"1423944916375353\",\"_BOOT_ID\":\"c4fa\",\"PRIORITY\":\"3\",\"_HOSTNAME\":\"bytor\",\"SYSLOG_IDENTIFIER\":\"sshd\",\"_SYSTEMD_UNIT\":\"sshd.service\",\"_PID\":\"412\",\"_TRANSPORT\":\"syslog\",\"MESSAGE\":[104,105],\"CODE_LINE\":\"17\"}",
        &expect![[r#"
            app = "sshd"
            boot_id = "c4fa"
            fields = {"CODE_LINE":"17"}
            host = "bytor"
            message = "hi"
            pid = 412
            severity = "error"
            timestamp = "2015-02-14T20:15:16.375353Z"
            transport = "syslog"
            unit = "sshd.service"
        "#]],
    );
    refuse("parse_journald", &["{}", "{\"a\":1}"]);
}
