import { createHash } from 'node:crypto'

/**
 * What Redis holds of an app, below `<prefix>:{<app>}:` (written `B` here). An *incarnation* is an instance for as long as the others have believed it
 * alive; one that comes back after it was given up gets a new one.
 *
 *     B instances            zset  incarnation -> when it was last heard of, in ms of Redis's clock
 *     B dying                set   incarnations that are being cleared away
 *     B epoch                text  made up anew when Redis has lost everything
 *     B at:<incarnation>     hash  channel -> its subscriptions there
 *     B of:<incarnation>     set   channel \n user: its members
 *     B channels             hash  channel -> subscriptions in all
 *     B members:<channel>    hash  incarnation \n user -> info; `v` -> version, which grows with every change
 *     B users:<channel>      hash  user -> on how many instances
 *     B ending               zset  what webhooks are told to have ended -> when, unless it is back until then
 *     B cache:<channel>      text  the last event of a cache channel
 *
 * Users are JSON strings, as in the messages; channels that have members or are counted need no escapes. Scripts change what belongs together in one step: whoever's change makes a channel occupied, or a user
 * present, is the one that is told so.
 */
const shared = `
local B, head, topic, debounce = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local news, lines = {}, {}

local function began(kind, channel, user)
  if debounce > 0 and redis.call('ZREM', B .. 'ending', channel .. '\\n' .. user) == 0 then news[#news + 1] = { kind, channel, user } end
end
local function ended(channel, user)
  if debounce > 0 then redis.call('ZADD', B .. 'ending', now + debounce, channel .. '\\n' .. user) end
end

local function setCount(incarnation, channel, count, known)
  local at = B .. 'at:' .. incarnation
  local delta = count - tonumber(redis.call('HGET', at, channel) or '0')
  local total = redis.call('HINCRBY', B .. 'channels', channel, delta)
  if count == 0 then redis.call('HDEL', at, channel) else redis.call('HSET', at, channel, count) end
  if total <= 0 then redis.call('HDEL', B .. 'channels', channel) end
  local before = total - delta
  if total > 0 and before <= 0 and not known then began('occupied', channel, '') end
  if total <= 0 and (before > 0 or known) then ended(channel, '') end
  return total
end

local function setMember(incarnation, channel, user, present, info, known)
  local of, record = B .. 'of:' .. incarnation, channel .. '\\n' .. user
  local members, users = B .. 'members:' .. channel, B .. 'users:' .. channel
  local changed = redis.call(present and 'SADD' or 'SREM', of, record) == 1
  if not changed then
    if known and not present and redis.call('HEXISTS', users, user) == 0 then ended(channel, user) end
    return
  end
  local version
  if redis.call('HEXISTS', members, 'v') == 1 then version = redis.call('HINCRBY', members, 'v', 1)
  else version = time[1] * 1000000 + time[2] redis.call('HSET', members, 'v', string.format('%.0f', version)) end
  local field = incarnation .. '\\n' .. user
  local instances = redis.call('HINCRBY', users, user, present and 1 or -1)
  if present then
    redis.call('HSET', members, field, info)
    if instances == 1 and not known then began('added', channel, user) end
  else
    redis.call('HDEL', members, field)
    if redis.call('HLEN', members) == 1 then redis.call('DEL', members) end
    if instances <= 0 then redis.call('HDEL', users, user) ended(channel, user) end
  end
  lines[#lines + 1] = table.concat({ present and '+' or '-', '"' .. channel .. '"', user, incarnation, present and info or '', string.format('%.0f', version) }, '\\t')
end

local function publish()
  if #lines > 0 then redis.call('PUBLISH', topic, head .. table.concat(lines, '\\n') .. '\\n') end
end
`

export const scripts = {
  /**
   * ARGV: shared 4, incarnation, '1' to register, epoch to use where there is none, lease in ms, longest pause in ms, most ends that are wanted.
   * -> [1 alive | 0 given up, epoch, instances, [dead incarnations], [channel \n user that ended]]
   */
  beat: script(`${shared}
local incarnation, register, epoch, lease, pause, most = ARGV[5], ARGV[6] == '1', ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
redis.call('SET', B .. 'epoch', epoch, 'NX')
epoch = redis.call('GET', B .. 'epoch')
local heard = redis.call('ZSCORE', B .. 'instances', incarnation)
if not heard and not register then return { 0, epoch, 0, {}, {} } end
redis.call('ZADD', B .. 'instances', now, incarnation)
local dead = redis.call('SMEMBERS', B .. 'dying')
-- After a pause of Redis itself everybody looks dead: whoever was not heard either does not judge.
if heard and now - tonumber(heard) < pause then
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', B .. 'instances', '-inf', now - lease)) do dead[#dead + 1] = name end
end
local over = redis.call('ZRANGEBYSCORE', B .. 'ending', '-inf', now, 'LIMIT', 0, most)
for _, key in ipairs(over) do redis.call('ZREM', B .. 'ending', key) end
return { 1, epoch, redis.call('ZCARD', B .. 'instances'), dead, over }`),

  /**
   * ARGV: shared 4, incarnation, number of channels, then for each: channel, count, '1' where it was told before and Redis has lost it, '1' where the
   * total is to be told; then for each member: channel, user, '1' where present, info, '1' as above.
   * -> [[occupied | added | counted, channel, user or total]], or 0 where the incarnation has been given up.
   */
  report: script(`${shared}
local incarnation = ARGV[5]
if not redis.call('ZSCORE', B .. 'instances', incarnation) then return 0 end
local at = 7
for _ = 1, tonumber(ARGV[6]) do
  local channel = ARGV[at]
  local total = setCount(incarnation, channel, tonumber(ARGV[at + 1]), ARGV[at + 2] == '1')
  if ARGV[at + 3] == '1' then
    news[#news + 1] = { 'counted', channel, total }
    lines[#lines + 1] = 'n\\t"' .. channel .. '"\\t' .. total
  end
  at = at + 4
end
while at <= #ARGV do
  setMember(incarnation, ARGV[at], ARGV[at + 1], ARGV[at + 2] == '1', ARGV[at + 3], ARGV[at + 4] == '1')
  at = at + 5
end
publish()
return news`),

  /**
   * Clears away a part of what an incarnation told. ARGV: shared 4, incarnation, lease in ms (0: at once), most entries at a time.
   * -> 1 where there is more.
   */
  clear: script(`${shared}
local incarnation, lease, most = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local heard = redis.call('ZSCORE', B .. 'instances', incarnation)
if heard and now - tonumber(heard) < lease then return 0 end
redis.call('ZREM', B .. 'instances', incarnation)
redis.call('SADD', B .. 'dying', incarnation)
local records = redis.call('SRANDMEMBER', B .. 'of:' .. incarnation, most)
for _, record in ipairs(records) do
  local channel, user = string.match(record, '^([^\\n]*)\\n(.*)$')
  setMember(incarnation, channel, user, false, '', false)
end
-- No scan: one that starts at the same buckets each time finds these empty, and what lies behind them never.
local channels = redis.call('HRANDFIELD', B .. 'at:' .. incarnation, most)
for _, channel in ipairs(channels) do setCount(incarnation, channel, 0, false) end
publish()
if #records > 0 or #channels > 0 then return 1 end
redis.call('SREM', B .. 'dying', incarnation)
return 0`),
} as const

export interface Script {
  readonly lua: string
  readonly sha: string
}

export function script(lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') }
}
