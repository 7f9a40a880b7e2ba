/** DescribeLogDirs, API key 35. */
import { array, bool, defineApi, int16, int32, int64, string } from '../schema.ts'

export const describeLogDirs = defineApi({
  key: 35,
  name: 'DescribeLogDirs',
  versions: [1, 5],
  flexible: 2,
  request: {
    topics: array(
      {
        topic: string(),
        partitions: array(int32()),
      },
      { nullable: 0 },
    ),
  },
  response: {
    throttleTimeMs: int32(),
    errorCode: int16({ since: 3, ignorable: true }),
    results: array({
      errorCode: int16(),
      logDir: string(),
      topics: array({
        name: string(),
        partitions: array({
          partitionIndex: int32(),
          partitionSize: int64(),
          offsetLag: int64(),
          isFutureKey: bool(),
        }),
      }),
      totalBytes: int64({ since: 4, ignorable: true, default: -1 }),
      usableBytes: int64({ since: 4, ignorable: true, default: -1 }),
      isCordoned: bool({ since: 5, ignorable: true }),
    }),
  },
})
