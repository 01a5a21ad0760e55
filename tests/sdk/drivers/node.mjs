// Drives @segment/analytics-node as the test says: commands come as JSON, one a line, on
// standard input, and each is answered with one line. See driver_test.go for the commands.
import { createInterface } from 'node:readline'
import { Analytics } from '@segment/analytics-node'

const [host, writeKey] = process.argv.slice(2)
const analytics = new Analytics({ host, writeKey })

let failures = []
analytics.on('error', (e) => failures.push(`${e.code}: ${e.reason?.message ?? e.reason}`))

const commands = {
  calls({ user, anonymous, previous, group }) {
    analytics.track({ anonymousId: previous, event: 'Visited Before' })
    analytics.page({ anonymousId: anonymous, category: 'Docs', name: 'Home' })
    analytics.screen({ anonymousId: anonymous, name: 'Start' })
    analytics.identify({ userId: user, anonymousId: anonymous, traits: { plan: 'pro', seats: 3 } })
    analytics.track({ userId: user, event: 'Order Completed', properties: { revenue: 12.5 } })
    analytics.group({ userId: user, groupId: group, traits: { employees: 7 } })
    analytics.alias({ userId: user, previousId: previous })
  },

  async track({ user, event, count, every }) {
    for (let number = 0; number < count; number++) {
      analytics.track({ userId: user, event, properties: { number } })
      if (every) await new Promise((resolve) => setTimeout(resolve, every))
    }
  },

  async flush() {
    await analytics.flush()
    const givenUp = failures
    failures = []
    if (givenUp.length) throw new Error(`${givenUp.length} calls were given up, the first: ${givenUp[0]}`)
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...parameters } = JSON.parse(line)
  try {
    await commands[command](parameters)
    console.log('{}')
  } catch (e) {
    console.log(JSON.stringify({ error: String(e) }))
  }
}
