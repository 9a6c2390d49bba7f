//! RFC 8482: questions for everything.

use crate::support::{NAME, World, question};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, RecordType};

#[test]
fn rfc8482_4_2_everything_is_one_small_record() {
    let mut world = World::new();
    for name in [NAME, "nj1.rtc.example.com."] {
        let asked = question(name, RecordType::ANY);
        let reply = world.ask(&asked);
        let [record] = reply.answers.as_slice() else {
            panic!("one record: {:?}", reply.answers);
        };
        assert!(matches!(&record.data, RData::HINFO(hinfo) if &*hinfo.cpu == b"RFC8482"));
        assert!(reply.to_vec().unwrap().len() < 2 * asked.to_vec().unwrap().len());
    }
    let absent = world.ask(&question("absent.rtc.example.com.", RecordType::ANY));
    assert_eq!(absent.metadata.response_code, ResponseCode::NXDomain);
}
