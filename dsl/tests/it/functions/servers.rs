//! Lines of web servers, clouds and databases: what their parsers make of each.

use expect_test::expect;

use super::lines::{check, refuse};

#[test]
fn web_servers() {
    check(
        "parse_clf",
        "127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /apache_pb.gif HTTP/1.0\" 200 2326 \"http://www.example.com/start.html\" \"Mozilla/4.08 [en] (Win98; I ;Nav)\"",
        &expect![[r#"
            agent = "Mozilla/4.08 [en] (Win98; I ;Nav)"
            bytes = 2326
            host = "127.0.0.1"
            method = "GET"
            path = "/apache_pb.gif"
            protocol = "HTTP/1.0"
            referer = "http://www.example.com/start.html"
            status = 200
            timestamp = "2000-10-10T20:55:36Z"
            user = "frank"
        "#]],
    );
    check(
        "parse_nginx",
        "172.17.0.1 - alice [01/Apr/2021:12:02:31 +0000] \"POST /not-found HTTP/1.1\" 404 153 \"http://localhost/somewhere\" \"Mozilla/5.0 (Windows NT 6.1) \\\"x\\\"\" \"2.75\"",
        &expect![[r#"
            agent = "Mozilla/5.0 (Windows NT 6.1) \"x\""
            bytes = 153
            client = "172.17.0.1"
            forwarded_for = "2.75"
            method = "POST"
            path = "/not-found"
            protocol = "HTTP/1.1"
            referer = "http://localhost/somewhere"
            status = 404
            timestamp = "2021-04-01T12:02:31Z"
            user = "alice"
        "#]],
    );
    check(
        "parse_nginx",
        "0.0.0.0 - - [18/Mar/2023:15:00:00 +0000] \"\\x16\\x03\\x01\" 400 150 \"-\" \"-\"",
        &expect![[r#"
            bytes = 150
            client = "0.0.0.0"
            status = 400
            timestamp = "2023-03-18T15:00:00Z"
        "#]],
    );
    check(
        "parse_nginx",
        "10.0.0.2 - - [18/Mar/2023:15:00:00 +0000] \"GET /some/path HTTP/2.0\" 200 12312 \"https://x.example/\" \"curl/8\" 462 0.050 [some-upstream-service-9000] [some-other-upstream-5000] 10.0.50.80:9000, 10.0.50.81:9000 0, 19437 1.001, 0.049 502, 200 752178adb17130b291aefd8c386279e7",
        &expect![[r#"
            agent = "curl/8"
            bytes = 12312
            client = "10.0.0.2"
            method = "GET"
            path = "/some/path"
            protocol = "HTTP/2.0"
            referer = "https://x.example/"
            request_id = "752178adb17130b291aefd8c386279e7"
            request_length = 462
            request_time = 0.05
            status = 200
            timestamp = "2023-03-18T15:00:00Z"
            upstream = "10.0.50.80:9000,10.0.50.81:9000"
            upstream_bytes = 19437
            upstream_name = "some-upstream-service-9000"
            upstream_status = 200
            upstream_time = 0.049
        "#]],
    );
    check(
        "parse_nginx",
        "2021/04/01 13:02:31 [error] 31#31: *1 open() \"/usr/share/nginx/html/a, b\" failed (2: No such file or directory), client: 172.17.0.1, server: localhost, request: \"POST /not-found HTTP/1.1\", upstream: \"http://10.0.0.9:80/\", host: \"localhost:8081\", referrer: \"http://x/\"",
        &expect![[r#"
            client = "172.17.0.1"
            connection = 1
            host = "localhost:8081"
            message = "open() \"/usr/share/nginx/html/a, b\" failed (2: No such file or directory)"
            method = "POST"
            path = "/not-found"
            pid = 31
            protocol = "HTTP/1.1"
            referer = "http://x/"
            server = "localhost"
            severity = "error"
            tid = 31
            timestamp = "2021-04-01T13:02:31Z"
            upstream = "http://10.0.0.9:80/"
        "#]],
    );
    check(
        "parse_nginx",
        "2021/04/01 13:02:31 [notice] 1#1: signal process started",
        &expect![[r#"
            message = "signal process started"
            pid = 1
            severity = "notice"
            tid = 1
            timestamp = "2021-04-01T13:02:31Z"
        "#]],
    );
    refuse("parse_nginx", &["", "x", "2021/04/01", "1.1.1.1 - - [x] \"GET / HTTP/1.1\" 200 1"]);
    check(
        "parse_apache_error",
        "[Wed Oct 11 14:32:52 2000] [error] [client 127.0.0.1] client denied by server configuration: /export/home/live/ap/htdocs/test",
        &expect![[r#"
            client = "127.0.0.1"
            message = "client denied by server configuration: /export/home/live/ap/htdocs/test"
            severity = "error"
            timestamp = "2000-10-11T14:32:52Z"
        "#]],
    );
    check(
        "parse_apache_error",
        "[Mon Mar 01 12:00:19.123456 2021] [ab:alert] [pid 4803:tid 3814] [client 147.159.108.175:24259] AH00957: failed [x]",
        &expect![[r#"
            client = "147.159.108.175"
            code = "AH00957"
            message = "failed [x]"
            module = "ab"
            pid = 4803
            port = 24259
            severity = "critical"
            tid = 3814
            timestamp = "2021-03-01T12:00:19.123456Z"
        "#]],
    );
    check(
        "parse_apache_error",
        "[Fri Sep 09 10:42:29.902022 2011] [proxy:trace3] [pid 1] [client 2001:db8::1] hello",
        &expect![[r#"
            client = "2001:db8::1"
            message = "hello"
            module = "proxy"
            pid = 1
            severity = "trace"
            timestamp = "2011-09-09T10:42:29.902022Z"
        "#]],
    );
    refuse("parse_apache_error", &["[x] y", "hello", "[Wed Oct 11"]);
    check(
        "parse_haproxy",
        "Feb  6 12:14:14 localhost haproxy[14389]: 10.0.1.2:33317 [06/Feb/2009:12:14:14.655] http-in~ static/srv1 10/0/30/69/+109 200 2750 - - ---- 1/1/1/1/3 0/2 {1wt.eu|curl} {text/html} \"GET /index.html HTTP/1.1\"",
        &expect![[r#"
            backend = "static"
            backend_queue = 2
            bytes = 2750
            client = "10.0.1.2"
            connect_ms = 30
            connections = 1
            frontend = "http-in"
            method = "GET"
            path = "/index.html"
            port = 33317
            protocol = "HTTP/1.1"
            queue_ms = 0
            request_headers = "1wt.eu|curl"
            request_ms = 10
            response_headers = "text/html"
            response_ms = 69
            retries = 3
            server = "srv1"
            server_queue = 0
            status = 200
            termination = "----"
            timestamp = "2009-02-06T12:14:14.655Z"
            total_ms = 109
        "#]],
    );
    check(
        "parse_haproxy",
        "haproxy[1]: 2001:db8::1:33313 [06/Feb/2009:12:12:51.443] fnt bck/<NOSRV> 0/-1/5007 212 SC 0/0/0/0/3 0/0",
        &expect![[r#"
            backend = "bck"
            backend_queue = 0
            bytes = 212
            client = "2001:db8::1"
            connect_ms = -1
            connections = 0
            frontend = "fnt"
            port = 33313
            queue_ms = 0
            retries = 3
            server = "<NOSRV>"
            server_queue = 0
            termination = "SC"
            timestamp = "2009-02-06T12:12:51.443Z"
            total_ms = 5007
        "#]],
    );
    check(
        "parse_haproxy",
        "10.0.0.1:1 [06/Feb/2009:12:12:51.443] fe fe/<NOSRV> -1/-1/-1/-1/0 -1 0 - - PR-- 1/1/0/0/0 0/0 \"<BADREQ>\"",
        &expect![[r#"
            backend = "fe"
            backend_queue = 0
            bytes = 0
            client = "10.0.0.1"
            connect_ms = -1
            connections = 1
            frontend = "fe"
            method = "<BADREQ>"
            port = 1
            queue_ms = -1
            request_ms = -1
            response_ms = -1
            retries = 0
            server = "<NOSRV>"
            server_queue = 0
            termination = "PR--"
            timestamp = "2009-02-06T12:12:51.443Z"
            total_ms = 0
        "#]],
    );
    refuse(
        "parse_haproxy",
        &["", "10.0.0.1:1 [x] a b/c 1/2", "10.0.0.1:1 [06/Feb/2009:12:12:51.443] fe be 1/2/3"],
    );
    check(
        "parse_w3c",
        "2002-05-24 20:18:01 172.224.24.114 GET /Default.htm - 80 - 206.73.118.24 Mozilla/4.0+(compatible;+MSIE+5.5) http://x/ 200 0 64 283",
        &expect![[r#"
            c-ip = "206.73.118.24"
            cs(Referer) = "http://x/"
            cs(User-Agent) = "Mozilla/4.0 (compatible; MSIE 5.5)"
            cs-method = "GET"
            cs-uri-stem = "/Default.htm"
            s-ip = "172.224.24.114"
            s-port = 80
            sc-status = 200
            sc-substatus = 0
            sc-win32-status = 64
            time-taken = 283
            timestamp = "2002-05-24T20:18:01Z"
        "#]],
    );
    refuse("parse_w3c", &["#Software: IIS", "2002-05-24 x", ""]);
}

#[test]
fn clouds() {
    check(
        "parse_aws_alb",
        "https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 \"GET https://www.example.com:443/ HTTP/1.1\" \"curl/7.46.0\" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 \"Root=1-58337281-1d84f3d73c47ec4e58577259\" \"www.example.com\" \"arn:aws:acm:us-east-2:123456789012:certificate/12345678\" 1 2018-07-02T22:22:48.364000Z \"authenticate,forward\" \"-\" \"-\" \"10.0.0.1:80\" \"200\" \"-\" \"-\" TID_123456",
        &expect![[r#"
            actions = "authenticate,forward"
            agent = "curl/7.46.0"
            certificate = "arn:aws:acm:us-east-2:123456789012:certificate/12345678"
            client = "192.168.131.39"
            client_port = 2817
            created = "2018-07-02T22:22:48.364Z"
            domain = "www.example.com"
            elb = "app/my-loadbalancer/50dc6c495c0c9188"
            method = "GET"
            protocol = "HTTP/1.1"
            received_bytes = 0
            request_time = 0.086
            response_time = 0.037
            rule_priority = 1
            sent_bytes = 57
            ssl_cipher = "ECDHE-RSA-AES128-GCM-SHA256"
            ssl_protocol = "TLSv1.2"
            status = 200
            target = "10.0.0.1"
            target_group = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067"
            target_port = 80
            target_status = 200
            target_statuses = "200"
            target_time = 0.048
            targets = "10.0.0.1:80"
            timestamp = "2018-07-02T22:23:00.186641Z"
            trace_id = "Root=1-58337281-1d84f3d73c47ec4e58577259"
            type = "https"
            url = "https://www.example.com:443/"
        "#]],
    );
    check(
        "parse_aws_alb",
        "http 2018-11-30T22:23:00.186641Z app/lb/50 192.168.131.39:2817 - 0.000 0.001 -1 502 - 34 366 \"- http://www.example.com:80- -\" \"-\" - - - \"Root=1\" \"-\" \"-\" 0 2018-11-30T22:22:48.364000Z \"forward\" \"-\" \"LambdaInvalidResponse\"",
        &expect![[r#"
            actions = "forward"
            client = "192.168.131.39"
            client_port = 2817
            created = "2018-11-30T22:22:48.364Z"
            elb = "app/lb/50"
            error_reason = "LambdaInvalidResponse"
            received_bytes = 34
            request_time = 0.0
            rule_priority = 0
            sent_bytes = 366
            status = 502
            target_time = 0.001
            timestamp = "2018-11-30T22:23:00.186641Z"
            trace_id = "Root=1"
            type = "http"
            url = "http://www.example.com:80-"
        "#]],
    );
    refuse(
        "parse_aws_alb",
        &["http x", "ftp 2018-11-30T22:23:00Z a b c d e f g h i j k l m n o p q"],
    );
    check(
        "parse_aws_vpc",
        "2 123456789010 eni-1235b8ca123456789 172.31.16.139 2001:db8::1 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK",
        &expect![[r#"
            account_id = "123456789010"
            action = "ACCEPT"
            bytes = 4249
            dst = "2001:db8::1"
            dst_port = 22
            end = "2014-12-14T04:07:50Z"
            interface_id = "eni-1235b8ca123456789"
            log_status = "OK"
            packets = 20
            protocol = 6
            src = "172.31.16.139"
            src_port = 20641
            start = "2014-12-14T04:06:50Z"
            version = 2
        "#]],
    );
    check(
        "parse_aws_vpc",
        "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA",
        &expect![[r#"
            account_id = "123456789010"
            end = "2015-05-10T18:02:14Z"
            interface_id = "eni-1235b8ca123456789"
            log_status = "NODATA"
            start = "2015-05-10T18:01:16Z"
            version = 2
        "#]],
    );
    refuse(
        "parse_aws_vpc",
        &[
            "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status",
            "2 1 2",
        ],
    );
    check(
        "parse_cloudfront",
        "2019-12-04\t21:02:31\tLAX1\t392\t192.0.2.100\tGET\td111111abcdef8.cloudfront.net\t/index.html\t200\t-\tMozilla/5.0%20(Windows)\t-\t-\tHit\tSOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ==\td111111abcdef8.cloudfront.net\thttps\t23\t0.001\t-\tTLSv1.2\tECDHE-RSA-AES128-GCM-SHA256\tHit\tHTTP/2.0\t-\t-\t11040\t0.001\tHit\ttext/html\t78\t-\t-",
        &expect![[r#"
            agent = "Mozilla/5.0 (Windows)"
            bytes = 392
            client = "192.0.2.100"
            client_port = 11040
            content_length = 78
            content_type = "text/html"
            detailed_result = "Hit"
            distribution = "d111111abcdef8.cloudfront.net"
            edge_location = "LAX1"
            first_byte_time = 0.001
            host = "d111111abcdef8.cloudfront.net"
            method = "GET"
            path = "/index.html"
            protocol = "HTTP/2.0"
            received_bytes = 23
            request_id = "SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ=="
            response_result = "Hit"
            result = "Hit"
            scheme = "https"
            ssl_cipher = "ECDHE-RSA-AES128-GCM-SHA256"
            ssl_protocol = "TLSv1.2"
            status = 200
            time_taken = 0.001
            timestamp = "2019-12-04T21:02:31Z"
        "#]],
    );
    refuse("parse_cloudfront", &["#Version: 1.0", "2019-12-04\t21:02:31\tLAX1", ""]);
}

#[test]
fn databases() {
    check(
        "parse_postgres",
        "2021-05-01 10:00:00.123 UTC [1234] LOG:  database system is ready to accept connections",
        &expect![[r#"
            level = "LOG"
            message = "database system is ready to accept connections"
            pid = 1234
            severity = "info"
            timestamp = "2021-05-01T10:00:00.123Z"
        "#]],
    );
    check(
        "parse_postgres",
        "2021-05-01 10:00:00 CET [1234]: [3-1] user=bob,db=shop,app=psql,client=10.0.0.1 ERROR:  relation \"x\" does not exist at character 15",
        &expect![[r#"
            app = "psql"
            client = "10.0.0.1"
            database = "shop"
            level = "ERROR"
            message = "relation \"x\" does not exist at character 15"
            pid = 1234
            severity = "error"
            timestamp = "2021-05-01T10:00:00Z"
            user = "bob"
        "#]],
    );
    check(
        "parse_postgres",
        "2021-05-01 10:00:00.123 UTC [77] bob@shop LOG:  duration: 1203.455 ms  execute <unnamed>: SELECT 1",
        &expect![[r#"
            database = "shop"
            duration = "1s203ms455us"
            level = "LOG"
            message = "duration: 1203.455 ms  execute <unnamed>: SELECT 1"
            pid = 77
            severity = "info"
            statement = "SELECT 1"
            timestamp = "2021-05-01T10:00:00.123Z"
            user = "bob"
        "#]],
    );
    check(
        "parse_postgres",
        "FATAL:  password authentication failed for user \"x\"",
        &expect![[r#"
            level = "FATAL"
            message = "password authentication failed for user \"x\""
            severity = "critical"
        "#]],
    );
    refuse("parse_postgres", &["hello", "CATALOG: x"]);
}
