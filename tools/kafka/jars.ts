/**
 * The jars of one version of Apache Kafka, fetched with Maven into `.cache/kafka-<version>/libs`.
 *
 * Invariant: the folder exists only when it is whole. Maven writes into a folder aside, which is renamed; a lock
 * keeps two processes from fetching the same version at once.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const mavenPlugin = 'org.apache.maven.plugins:maven-dependency-plugin:2.8'
const slf4jVersion = '1.7.36'
const oldestJava = 17

export const defaultKafkaVersion = '4.3.0'

/** Java or Maven is not on this machine. Programs that meet it end with `exitCode`. */
export class MissingToolError extends Error {
  override readonly name = 'MissingToolError'
  readonly exitCode = 3
}

/** The version to work with: `OTTLA_KAFKA_VERSION`, else the newest that is known to work. */
export const kafkaVersion = (): string => process.env['OTTLA_KAFKA_VERSION'] || defaultKafkaVersion

/** The `java` to run: that of JAVA_HOME, else that of PATH. Throws MissingToolError below Java 17. */
export function findJava(): string {
  const home = process.env['JAVA_HOME']
  const java = home && existsSync(join(home, 'bin', 'java')) ? join(home, 'bin', 'java') : 'java'
  const probe = spawnSync(java, ['-version'], { encoding: 'utf8' })
  const major = Number(/version "(\d+)/.exec(probe.stderr ?? '')?.[1] ?? 0)
  if (major >= oldestJava) return java
  const found = probe.error
    ? 'none was found'
    : `${java} is ${major === 0 ? 'not a Java that runs' : `Java ${major}`}`
  throw new MissingToolError(
    `A real Apache Kafka needs Java ${oldestJava} or newer, and ${found}. Install one (Debian, Ubuntu: ` +
      '`apt-get install openjdk-17-jre-headless maven`; macOS: `brew install openjdk@17 maven`), put it on PATH or ' +
      'name it in JAVA_HOME, and run this again. Everything that does not say "kafka" in its name runs without it.',
  )
}

/** The folder of the jars of this version, fetched first when it is not there. */
export async function ensureJars(version = kafkaVersion()): Promise<string> {
  const home = join(root, '.cache', `kafka-${version}`)
  const libs = join(home, 'libs')
  if (existsSync(libs)) return libs
  const release = await lock(`${home}.lock`)
  try {
    if (!existsSync(libs)) fetchJars(version, home)
  } finally {
    release()
  }
  return libs
}

function fetchJars(version: string, home: string): void {
  if (spawnSync('mvn', ['-version'], { stdio: 'ignore' }).status !== 0) {
    throw new MissingToolError(
      `The jars of Apache Kafka ${version} are fetched with Maven, and no \`mvn\` that runs was found. Install it ` +
        '(Debian, Ubuntu: `apt-get install maven`; macOS: `brew install maven`) and run this again.',
    )
  }
  process.stderr.write(`ottla: fetching Apache Kafka ${version} from Maven Central, once\n`)
  const staging = `${home}.${process.pid}`
  mkdirSync(staging, { recursive: true })
  try {
    writeFileSync(join(staging, 'pom.xml'), pom(version))
    const args = ['-q', '-B', `${mavenPlugin}:copy-dependencies`, '-DoutputDirectory=libs']
    const done = spawnSync('mvn', args, { cwd: staging, stdio: ['ignore', 2, 2] })
    if (done.status !== 0) throw new Error(`Maven could not fetch Apache Kafka ${version}: see above`)
    rmSync(home, { recursive: true, force: true })
    renameSync(staging, home)
  } finally {
    rmSync(staging, { recursive: true, force: true })
  }
}

function pom(version: string): string {
  // Kafka 3.9 brings a second slf4j binding, which would win and swallow the line that says that a node serves.
  const exclusion =
    '<exclusions><exclusion><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId></exclusion></exclusions>'
  const dependency = (group: string, artifact: string, release: string) =>
    `    <dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId>` +
    `<version>${release}</version>${exclusion}</dependency>`
  return [
    '<project xmlns="http://maven.apache.org/POM/4.0.0">',
    '  <modelVersion>4.0.0</modelVersion>',
    '  <groupId>ottla</groupId><artifactId>kafka-jars</artifactId><version>1</version>',
    '  <dependencies>',
    dependency('org.apache.kafka', 'kafka_2.13', version),
    dependency('org.apache.kafka', 'kafka-tools', version),
    dependency('org.slf4j', 'slf4j-simple', slf4jVersion),
    '  </dependencies>',
    '</project>',
    '',
  ].join('\n')
}

/** A lock between processes: a file that holds its owner's pid. One whose owner is dead is taken over. */
async function lock(path: string): Promise<() => void> {
  mkdirSync(dirname(path), { recursive: true })
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' })
      return () => rmSync(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    if (!ownerLives(path)) rmSync(path, { force: true })
    await sleep(200)
  }
}

function ownerLives(path: string): boolean {
  try {
    process.kill(Number(readFileSync(path, 'utf8')) || process.pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
